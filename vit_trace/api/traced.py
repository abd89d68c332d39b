"""A trace as a program holds it: stages by name, sizes at other settings, screens and files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from shutil import get_terminal_size
from typing import Any

from msgspec.structs import force_setattr

from vit_trace.api.options import require_options
from vit_trace.base.refused import value_errors
from vit_trace.base.trace import Source, Stage, Trace
from vit_trace.base.words import shape_text
from vit_trace.dims.formula import on_screen
from vit_trace.dims.values import at, changes_of
from vit_trace.render.drawn import Drawn
from vit_trace.view.narrow import near_names
from vit_trace.view.screen import Screen, Viewed


class Traced(Trace, frozen=True):
    """A trace; `print` shows its table.

    `trace["blocks.0.attn"]` is a stage, `trace.find("*.attn")` are those whose names match, iteration gives all in the
    order they were entered, `len` their number. Two traces are equal where all they hold is.
    """

    @staticmethod
    def of(trace: Trace) -> Traced:
        """The same trace, with what a program asks of it."""
        return Traced(*(getattr(trace, name) for name in trace.__struct_fields__))

    @staticmethod
    def from_json(text: str | bytes) -> Traced:
        """Read a saved trace.

        Raises:
            TraceFormatError: the text is not JSON, or not of this schema, or a formula in it cannot be read.
        """
        from vit_trace.dims.saved import saved_trace

        return Traced.of(saved_trace(text if isinstance(text, bytes) else text.encode()))

    def fill(self, trace: Trace) -> None:
        """Become another trace: what `recording` gave before anything ran becomes what ran."""
        for name in trace.__struct_fields__:
            force_setattr(self, name, getattr(trace, name))

    def __getitem__(self, name: str) -> TracedStage:
        """The first stage of that name. Raises KeyError, with the names that are near."""
        found = next((stage for stage in self.stages if stage.name == name), None)
        if found is None:
            near = near_names(name, [stage.name for stage in self.stages])
            raise KeyError(f"no stage is named {name}" + (f"; near it: {', '.join(near)}" if near else ""))
        return TracedStage(self, found)

    def __iter__(self) -> Iterator[TracedStage]:
        return (TracedStage(self, stage) for stage in self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    def find(self, pattern: str) -> list[TracedStage]:
        """The stages whose name or operation matches: `*.attn`, `softmax`."""
        return [one for one in self if fnmatchcase(one.name, pattern) or fnmatchcase(one.operation, pattern)]

    def at(self, **values: int | str) -> Traced:
        """The trace at other values of its hyperparameters and sizes: `at(image_size=384)`, `at(b=1)`.

        Every size follows from its formula; nothing runs.

        Raises:
            ValueError: there is no such quantity, or a value at which the model does not run.
        """
        return Traced.of(at(self, changes_of(self, {name: str(value) for name, value in values.items()})))

    def explain(self, what: int | str | tuple[int, ...]) -> Drawn:
        """What a size, a shape, a stage, a parameter or a symbol is, as `vit-trace explain` says it.

        Raises:
            ValueError: the trace has nothing of that name or size.
        """
        subject = shape_text(what) if isinstance(what, tuple) else str(what)
        return Drawn(lambda stream, width: _answered(self, subject, stream, width)).checked()

    def table(self, **screen: Any) -> Drawn:
        """The table; `stage`, `levels`, `fold`, `columns`, `sort` and `top` as on the command line.

        Prints as text, and is a rich renderable.
        """
        return self._screen(_screen_of(screen, "table"))

    def tree(self, **screen: Any) -> Drawn:
        """The tree of modules and steps."""
        return self._screen(_screen_of(screen, "tree"))

    def source(self, **screen: Any) -> Drawn:
        """The model's code with its shapes; `stage` and `ran` as on the command line.

        Raises:
            ValueError: the trace was made without the model's lines: `trace(…, source=True)` keeps them.
        """
        return self._screen(_screen_of(screen, "source"))

    def to_text(self, width: int | None = None) -> str:
        """The table as plain text, at most `width` columns wide; as wide as it needs to be without."""
        return self.table().to_text(width)

    def to_markdown(self, view: str = "table", **screen: Any) -> str:
        """A page with the table as GitHub shows it; or with another `view` as a block, as `-o trace.md` writes it."""
        return self._written("markdown", _screen_of(screen, view))

    def to_tex(self, **screen: Any) -> str:
        """The table in LaTeX, with the rules of booktabs."""
        return self._written("tex", _screen_of(screen))

    def to_csv(self, **screen: Any) -> str:
        """One stage a row, numbers as numbers; `params` and `flops` add up to the totals."""
        return self._written("csv", _screen_of(screen))

    def to_frame(self, **screen: Any) -> Any:
        """The rows of `to_csv` as a DataFrame: pandas' where that is installed, else polars'.

        Raises:
            ImportError: neither is installed.
        """
        from vit_trace.api.frame import frame_of
        from vit_trace.render.tabular import records

        return frame_of(list(records(self, _screen_of(screen))))

    def to_html(self, **screen: Any) -> str:
        """One self-contained page: stages, drawing and source, whose sizes follow from fields for the symbols."""
        return self._written("html", _screen_of(screen))

    def to_svg(self, **screen: Any) -> str:
        """The drawing: who feeds whom, one repeated block opened."""
        return self._written("svg", _screen_of(screen))

    def _repr_html_(self) -> str:
        from vit_trace.render.page.page import cell_of

        return cell_of(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """A table in a notebook; in a terminal, the table as text."""
        return {"text/plain": self.to_text(get_terminal_size((100, 24)).columns), "text/html": self._repr_html_()}

    def _screen(self, screen: Screen) -> Drawn:
        self._require_listing(screen)

        def draw(stream: io.StringIO, width: int | None) -> None:
            stream.write(self._written("rich", screen._replace(width=width or screen.width)))

        return Drawn(draw)

    def _require_listing(self, screen: Screen) -> None:
        if screen.view == "source" and not self.listing:
            raise ValueError("this trace holds no source lines: vit_trace.trace(…, source=True) keeps them")

    def _written(self, format: str, screen: Screen) -> str:
        """What the command line writes in a format. Raises ValueError with the diagnostic."""
        self._require_listing(screen)
        from vit_trace.render.formats import formats_of

        stream = io.StringIO()
        with value_errors():
            formats_of("trace")[format].write(Viewed(self, screen), stream)
        return stream.getvalue()

    def __eq__(self, other: object) -> bool:
        """Whether all that they hold is the same."""
        same = isinstance(other, Trace)
        return same and all(getattr(self, name) == getattr(other, name) for name in self.__struct_fields__)

    def __str__(self) -> str:
        return str(self.table())

    def __repr__(self) -> str:
        given = [spec.shape for stage in self.stages if stage.kind == "input" for spec in stage.outputs]
        text = f"{self.target.class_}: {len(self.stages)} stages"
        if given or self.outputs:
            text += f", {_shapes(given)} → {_shapes([spec.shape for spec in self.outputs]) or '?'}"
        if self.failure is not None:
            text += f", {self.failure.code} at {self.stages[self.failure.stage or 0].name or 'the model'}"
        return f"<Trace of {text}>"


class TracedStage:
    """A stage of a trace: its shapes, the formulas of its sizes, and the stages around it."""

    def __init__(self, trace: Traced, stage: Stage) -> None:
        self.trace, self.record = trace, stage

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def operation(self) -> str:
        return self.record.operation

    @property
    def parameters(self) -> int:
        """Parameters that it holds itself, without those of its parts."""
        return self.record.parameters

    @property
    def flops(self) -> int:
        """Floating point operations that it does itself, without those of its parts."""
        return self.record.flops

    @property
    def source(self) -> Source | None:
        """The line that it stands on."""
        return self.record.source

    @property
    def mixes(self) -> tuple[str, ...] | None:
        """Which axes it mixes; None where that was not measured."""
        return self.record.mixes

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of its first output."""
        return self.record.outputs[0].shape if self.record.outputs else None

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of its outputs."""
        return [spec.shape for spec in self.record.outputs]

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        return [spec.shape for spec in self.record.inputs]

    @property
    def dims(self) -> tuple[str, ...] | None:
        """The formula of each size of its first output; a plain number where there is none."""
        return self.record.outputs[0].dims if self.record.outputs else None

    @property
    def formula(self) -> str | None:
        """The same in one text, as screens write it: `b × n+1 × dim`."""
        return self.formulas[0] if self.record.outputs else None

    @property
    def formulas(self) -> list[str]:
        """Those of all its outputs."""
        return [" × ".join(map(on_screen, spec.dims)) for spec in self.record.outputs]

    @cached_property
    def parent(self) -> TracedStage | None:
        """The stage that it is a part of."""
        above = self.record.parent
        return None if above is None else TracedStage(self.trace, self.trace.stages[above])

    @cached_property
    def children(self) -> list[TracedStage]:
        """Its parts, in the order they were entered."""
        return [one for one in self.trace if one.record.parent == self.record.index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TracedStage) and (self.record, self.trace) == (other.record, other.trace)

    def __hash__(self) -> int:
        return hash((self.record.index, self.record.name))

    def __repr__(self) -> str:
        made = f"  {_shapes(self.shapes)}" if self.shapes else ""
        formula = f"  {self.formula}" if self.formula and not self.formula.replace(" × ", "").isdigit() else ""
        return f"<{self.name or 'the model'}  {self.operation}{made}{formula}>"


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(shape_text, shapes))


def _screen_of(options: Mapping[str, Any], view: str = "table") -> Screen:
    """What the command line asks by these names. Raises TypeError."""
    require_options("the view", options, [name for name in Screen._fields if name != "view"])
    return Screen(view, **options)


def _answered(trace: Trace, subject: str, stream: io.StringIO, width: int | None) -> None:
    from vit_trace.render.answer import print_answer
    from vit_trace.render.console import console_for

    with value_errors():
        print_answer(trace, subject, console_for(stream, width))
