"""Makes one self-contained page of a trace: nothing is loaded, and what the model calls itself is text there."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from vit_trace.base.trace import Stage, Symbol, TensorSpec, Trace
from vit_trace.base.words import bytes_text, compact
from vit_trace.dims.formula import on_screen, parse
from vit_trace.dims.values import knob_of, used_symbols
from vit_trace.render.cells import has_formula
from vit_trace.render.drawing import HEIGHT, WIDTH, Drawing, described, plan_of
from vit_trace.render.legible import printable
from vit_trace.render.page.code import CodeBlock, code_of
from vit_trace.render.page.expressions import Expressions
from vit_trace.render.page.told import coloured, diagnostics_in_page
from vit_trace.view.flow import flow_of
from vit_trace.view.outline import Outline, outline
from vit_trace.view.rows import Row
from vit_trace.view.screen import Screen
from vit_trace.view.summary import batch_of, legend, mixing_told, title, totals

if TYPE_CHECKING:
    from jinja2 import Template

COLOURS = 12
"""Colours of symbols; a further symbol has the first again."""

MOST_ROWS = 6_000
"""Rows of a page; where all would be more, equal blocks are shown once."""

LARGEST_SAFE = 2**53
"""Above this a page's numbers are not exact."""

WORD = re.compile(r"[A-Za-z_]\w*(?:\[\d+\])?")


class Coloured(NamedTuple):
    """A part of a formula: a symbol with its colour, or what stands between symbols."""

    text: str
    colour: int | None = None


class ShownTensor(NamedTuple):
    """A tensor, or several equal ones: its sizes with the places of their expressions, and its formula."""

    alike: int
    sizes: tuple[tuple[int, int], ...]
    formula: tuple[Coloured, ...]


class PageLine(NamedTuple):
    """A row of the page; `parent` is the number of the heading that hides it.

    Of what layers repeat, `times` says how often, and `last` is the number at the end of its label.
    """

    number: int
    row: Row
    parent: int | None
    tensors: tuple[ShownTensor, ...]
    parameters: int | None
    flops: int | None
    source: str
    anchor: str
    times: int | None
    last: int | None


Branch = tuple[PageLine, list[Any]]
"""A line, and the branches inside it."""


class Field(NamedTuple):
    """A symbol that can be set."""

    name: str
    label: str
    value: int
    colour: int


class TracePage:
    """What the template of a page shows of a trace."""

    def __init__(self, trace: Trace, screen: Screen = Screen()) -> None:
        self.trace, self.screen = trace, screen
        self.expressions = Expressions(trace)
        self.colours = {name: place % COLOURS for place, name in enumerate(trace.symbols)}

    @cached_property
    def outline(self) -> Outline:
        found = outline(self.trace, self.screen.stage, self.screen.levels, self.screen.fold, sized=False)
        if len(found.rows) <= MOST_ROWS:
            return found
        return outline(self.trace, self.screen.stage, self.screen.levels, sized=False)

    @property
    def folded(self) -> bool:
        """Whether equal blocks are shown once though all were asked for."""
        return not self.screen.fold and any(row.repeats > 1 for row in self.outline.rows)

    @cached_property
    def title(self) -> tuple[str, ...]:
        return tuple(map(printable, title(self.trace)))

    @cached_property
    def lines(self) -> list[PageLine]:
        found: list[PageLine] = []
        above: list[int] = []
        for number, row in enumerate(self.outline.rows):
            del above[row.level :]
            found.append(self._line(number, row, above[-1] if above else None))
            above += [number] * (row.level + 1 - len(above))
        return found

    def _line(self, number: int, row: Row, parent: int | None) -> PageLine:
        parameters, flops = self.expressions.counts(row.node) if row.node else (None, None)
        source = row.source
        name = f"{os.path.basename(source.file)}:{source.line}" if source else ""
        anchor = self.code.anchor(source.file, source.line) if source else ""
        tensors = tuple(self.tensors(row.shapes)) if not row.heading else ()
        return PageLine(
            number,
            row,
            parent,
            tensors,
            parameters if row.parameters else None,
            self.expressions.per_image(flops) if row.flops and flops is not None else None,
            printable(name),
            anchor,
            *self._layers(row),
        )

    def _layers(self, row: Row) -> tuple[int | None, int | None]:
        if row.node is None or not self.expressions.repeats_layers(row.node.starts):
            return None, None
        times = self.expressions.layers_place
        ends = row.label.endswith(f"…{row.repeats - 1}")
        return times, self.expressions.add("+", times, self.expressions.number(-1)) if ends else None

    def tensors(self, specs: Sequence[TensorSpec]) -> Iterator[ShownTensor]:
        """Equal neighbours together, with their number."""
        for _, run in groupby(specs, lambda one: (one.shape, one.dims, one.constant)):
            first, *others = list(run)
            sizes = zip(self.expressions.shape(first), first.shape, strict=True)
            formula = self.formula(" × ".join(map(on_screen, first.dims))) if has_formula(first) else ()
            yield ShownTensor(1 + len(others), tuple(sizes), formula)

    def formula(self, text: str) -> tuple[Coloured, ...]:
        """A formula in pieces: each symbol in its colour."""
        pieces, end = [], 0
        for found in WORD.finditer(text):
            if found[0] in self.colours:
                pieces += [Coloured(text[end : found.start()]), Coloured(found[0], self.colours[found[0]])]
                end = found.end()
        return tuple(piece for piece in (*pieces, Coloured(text[end:])) if piece.text)

    @cached_property
    def branches(self) -> list[Branch]:
        """The lines as a tree."""
        top: list[Branch] = []
        found: dict[int, list[Branch]] = {}
        for line in self.lines:
            inside: list[Branch] = []
            (top if line.parent is None else found[line.parent]).append((line, inside))
            found[line.number] = inside
        return top

    @cached_property
    def phrases(self) -> list[str]:
        """The symbols with their values, and the totals."""
        return [*legend(self.outline), *totals(self.outline)]

    def svg(self) -> str:
        """The drawing, whose sizes the page computes."""
        return _drawn(self, self.expressions, "")

    def colour_of(self, dim: str) -> int | None:
        """The colour of a size: that of the first symbol of its formula."""
        return next((self.colours[one] for one in WORD.findall(dim) if one in self.colours), None)

    @cached_property
    def rows(self) -> dict[int, int]:
        """The numbers of the rows by the stages that they show."""
        return {line.row.stage: line.number for line in reversed(self.lines) if line.row.stage is not None}

    def row_of(self, stage: Stage) -> int | None:
        return self.rows.get(stage.index)

    @cached_property
    def code(self) -> CodeBlock:
        return code_of(self.trace)

    @cached_property
    def plan(self) -> Drawing:
        return plan_of(flow_of(self.trace, self.screen.stage))

    @cached_property
    def knobs(self) -> list[Field]:
        """The symbols that sizes depend on and that follow from no other."""
        used = used_symbols(self.trace)
        if any(line.times is not None for line in self.lines):
            used.add(self.expressions.depth)
        return [
            Field(name, _label(name, symbol), symbol.value, self.colours[name])
            for name, symbol in self.trace.symbols.items()
            if symbol.formula is None and name in used
        ]

    @property
    def paired(self) -> bool:
        """Whether two fields are the sides of one hyperparameter."""
        names = [one.label.partition("[")[0] for one in self.knobs if "[" in one.label]
        return len(set(names)) < len(names)

    @cached_property
    def derived(self) -> list[tuple[str, Symbol, tuple[Coloured, ...], int]]:
        """The symbols that follow from others: with their formulas, and the places of their expressions."""
        return [
            (name, symbol, self.formula(on_screen(symbol.formula)), self.expressions.text(symbol.formula))
            for name, symbol in self.trace.symbols.items()
            if symbol.formula
        ]

    @cached_property
    def totals(self) -> Mapping[str, int]:
        return self.expressions.totals()

    @cached_property
    def diagnostics(self) -> str:
        """The failure and the warnings as on a screen, as HTML."""
        failure = self.trace.failure
        shown = [one for one in self.trace.diagnostics if one.severity != "note"]
        return diagnostics_in_page([*((failure,) if failure else ()), *shown])

    @cached_property
    def mixes(self) -> str:
        return mixing_told(self.outline)

    def data(self) -> dict[str, Any]:
        """What the page computes with; asked last, when all expressions are known."""
        trace, add = self.trace, self.expressions
        held = {
            name: symbol.kept for name, symbol in trace.symbols.items() if symbol.kept is not None and name != add.depth
        }
        checks = [[one.top, one.bottom, add.text(one.top), add.text(one.bottom), one.rest] for one in trace.wholes]
        branches = [
            [[name, add.formula(parse(name)), add.text(text)] for name, text in branch.items()]
            for branch in trace.branches
        ]
        return {
            "knobs": [[one.name, one.label, one.value] for one in self.knobs],
            "held": [[name, add.formula(parse(name)), *ends] for name, ends in held.items()],
            "layers": add.depth,
            "layered": (trace.symbols[add.depth].kept if add.depth else None) or [1, LARGEST_SAFE],
            "checks": checks,
            "branches": branches,
            "failed": trace.failure is not None,
            "entries": add.entries,
        }


def _label(name: str, symbol: Symbol) -> str:
    """What a field is called: the hyperparameter, else what the symbol means."""
    knob = knob_of(symbol)
    return symbol.hyperparameter or symbol.meaning or name if knob else symbol.meaning or name


def page_of(trace: Trace, screen: Screen = Screen()) -> str:
    """The page as HTML."""
    from markupsafe import Markup

    style, script = _text("page.css") + _text("flow.css"), _text("page.js")
    page = TracePage(trace, screen)
    return _template("page.html").render(
        page=page,
        live=True,
        trace=trace,
        batch=batch_of(trace) or 1,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=lambda: Markup(_json(page.data())),
    )


def cell_of(trace: Trace) -> str:
    """The table as HTML for a notebook's cell, folded without any script."""
    from markupsafe import Markup

    return _template("notebook.html").render(page=TracePage(trace), live=False, style=Markup(_text("notebook.css")))


def svg_of(trace: Trace, screen: Screen = Screen()) -> str:
    """The drawing of a trace as a file of its own."""
    from markupsafe import Markup

    page = TracePage(trace, screen)
    return _drawn(page, None, Markup(_text("page.css").partition("* {")[0] + _text("flow.css")))


def _drawn(page: TracePage, expressions: Expressions | None, style: str) -> str:
    from markupsafe import Markup

    svg = _template("flow.svg").render(
        plan=page.plan,
        title=page.title[0],
        style=style,
        expressions=expressions,
        colour_of=page.colour_of,
        described=described,
        width=WIDTH,
        height=HEIGHT,
    )
    return Markup(svg)


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _template(name: str) -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"compact": compact, "bytes": bytes_text, "printable": printable, "code": coloured}
    return environment.from_string(_text("macros.html") + _text(name))


def _hash(text: str) -> str:
    """What a page's policy calls the only style and the only script that it may have."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _json(value: object) -> str:
    """JSON that cannot end the element that it stands in."""
    from vit_trace.base.trace import json_bytes

    return json_bytes(value).decode().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
