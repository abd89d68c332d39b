"""Lays out a trace as a table; on a narrow screen formulas stand under their shapes and may reach under the operation.

rich's own table has no cell that reaches over its neighbours: rich measures and wraps the cells, this file places them.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from vit_trace.base.trace import TensorSpec
from vit_trace.dims.formula import on_screen
from vit_trace.render import cells, theme
from vit_trace.view.outline import Outline, Row, mixing_told, totals

GAP = 2
LEAST_OPERATION = 18
"""Columns that an operation needs; with fewer left, formulas stand under their shapes."""

MOST_LABEL = 0.34
"""Largest share of the width for the names of stages; longer ones are wrapped."""

RIGHT = ("shape", "parameters", "flops")
"""Columns that end at their right edge."""


class _TableRow(NamedTuple):
    """The cells of one row, not yet placed; `renamed` if a formula changed, `valued` for a constructor's quantity."""

    label: Text
    indent: int
    operation: Text
    shapes: list[Text]
    formulas: list[Text]
    renamed: bool
    valued: bool
    parameters: Text
    flops: Text
    source: Text
    mixes: Text


class _Columns(NamedTuple):
    """Widths; 0 for a column that is not shown."""

    label: int
    operation: int
    shape: int
    formula: int
    parameters: int
    flops: int
    source: int
    mixes: int

    def lay_out(self, texts: Sequence[Text]) -> Text:
        """One text per column, side by side, each padded to the column's width; numbers and shapes to the right."""
        line = Text()
        for name, width, text in zip(self._fields, self, texts, strict=True):
            if width:
                line.append(" " * GAP if line else "")
                pad = " " * max(0, width - text.cell_len)
                line.append_text(Text(pad).append_text(text) if name in RIGHT else text.copy().append(pad))
        return line

    @property
    def edge(self) -> int:
        """Where the shapes end."""
        return self.label + self.operation + self.shape + 2 * GAP

    @property
    def total(self) -> int:
        """The width of all columns."""
        return sum(self) + GAP * (sum(map(bool, self)) - 1)


def print_table(outline: Outline, console: Console) -> None:
    """Write title, constructor, stages, the symbols' legend and totals."""
    console.print(cells.title_text(outline, console.width))
    console.print()
    lines = list(_table_lines(outline))
    columns = _fit_columns(lines, console.width)
    named = any(formula.plain for line in lines for formula in line.formulas)
    titles = ("stage", "operation", "shape", "formula" if named else "", "params", "FLOPs", "source", "mixes")
    if columns.total > console.width:
        header, lay_out = Text(), partial(_stacked, width=console.width, console=console)
    else:
        header = columns.lay_out([Text(title, theme.COLUMN) for title in titles])
        lay_out = partial(_screen_lines, columns=columns, console=console)
    for text in chain([header] if header else [], *map(lay_out, lines)):
        text.rstrip()
        console.print(text, soft_wrap=True)
    console.print()
    if named and (legend := cells.legend_phrases(outline.trace)):
        console.print(cells.joined_phrases(legend, console.width, "  "))
        console.print()
    console.print(cells.joined_phrases(totals(outline), console.width))
    if told := mixing_told(outline.trace):
        console.print(cells.joined_phrases(told.split(", "), console.width, ", "))


def _table_lines(outline: Outline) -> Iterator[_TableRow]:
    """Every row's cells, each shape beside the one above it."""
    indent = 1 if outline.construction else 0
    if outline.construction:
        yield _line_of(Row(0, "constructor", heading=True), None, 0)
        for row in outline.construction:
            yield _line_of(row, None, indent)
        yield _line_of(Row(0, "forward", heading=True), None, 0)
    before: TensorSpec | None = None
    for row in outline.rows:
        yield _line_of(row, before, indent)
        if row.shapes and not row.heading:
            before = row.shapes[-1]


def _line_of(row: Row, before: TensorSpec | None, indent: int) -> _TableRow:
    """A row's cells; a heading shows no shape, its stages do."""
    shapes, formulas = [Text("")], [Text("")]
    if row.value:
        shapes, formulas = [Text(row.value)], [Text(on_screen(row.formula), theme.SAME)]
    elif not row.heading:
        shapes, formulas = cells.tensor_cells(row, before)
    renamed = before is None or any(spec.dims != before.dims for spec in row.shapes)
    label, hang = Text("  " * indent).append_text(cells.label_cell(row)), 2 * (indent + row.level) + 2
    numbers = Text(cells.per_block(row.parameters, row)), Text(cells.per_block(row.flops, row))
    source = Text(cells.source_cell(row.source), theme.SAME)
    mixes = Text(", ".join(row.mixes))
    return _TableRow(
        label, hang, cells.operation_cell(row), shapes, formulas, renamed, bool(row.value), *numbers, source, mixes
    )


def _fit_columns(lines: Sequence[_TableRow], width: int) -> _Columns:
    """Widths of the columns: first the needed ones, then formulas, source lines and FLOPs as there is room."""
    cap = max(16, int(width * MOST_LABEL))
    label = min(_widest(line.label for line in lines), cap)
    short = min(_widest(line.label for line in lines if not line.valued), cap)
    operation = _widest(line.operation for line in lines)
    shape = _widest(text for line in lines for text in line.shapes)
    formula = _widest(text for line in lines for text in line.formulas)
    parameters = max(len("params"), _widest(line.parameters for line in lines))
    flops = max(len("FLOPs"), _widest(line.flops for line in lines))
    source = _widest(line.source for line in lines)
    least = min(operation, LEAST_OPERATION)
    left = width - label - shape - parameters - 3 * GAP
    if formula and left - formula - GAP < least <= left + label - short - formula - GAP:
        left += label - short
        label = short
    wide = formula > 0 and left - formula - GAP >= least
    left -= formula + GAP if wide else 0
    told = wide or not formula
    with_source = told and left - source - GAP >= least
    left -= source + GAP if with_source else 0
    with_flops = told and left - flops - GAP >= operation
    left -= flops + GAP if with_flops else 0
    mixes = _widest(line.mixes for line in lines)
    with_mixes = mixes and with_source and with_flops and left - mixes - GAP >= operation
    left -= mixes + GAP if with_mixes else 0
    operation = max(min(operation, left), 8)
    after = with_flops * flops, with_source * source, bool(with_mixes) * mixes
    return _Columns(label, operation, shape, wide * formula, parameters, *after)


def _widest(texts: Iterable[Text]) -> int:
    return max((text.cell_len for text in texts), default=0)


def _screen_lines(line: _TableRow, columns: _Columns, console: Console) -> Iterator[Text]:
    """The screen lines of one row."""
    if line.valued and line.formulas[0].plain and not columns.formula and not line.operation.plain:
        told = Text().append_text(line.formulas[0]).append(" = ").append_text(line.shapes[0])
        gap = max(GAP, columns.edge - line.label.cell_len - told.cell_len)  # it reaches under the empty operation
        yield line.label.copy().append(" " * gap).append_text(told)
        return
    labels = _wrapped_cell(line.label, columns.label, line.indent, console)
    operations = _wrapped_cell(line.operation, columns.operation, 0, console)
    stacks = (
        labels,
        operations,
        line.shapes,
        line.formulas,
        [line.parameters],
        [line.flops],
        [line.source],
        [line.mixes],
    )
    height = max(len(stack) for stack, width in zip(stacks, columns, strict=True) if width)
    for place in range(height):
        yield columns.lay_out([stack[place] if place < len(stack) else Text() for stack in stacks])
    if not columns.formula and line.renamed:
        formulas = (formula for formula in line.formulas if formula.plain)
        yield from (Text(" " * max(2, columns.edge - one.cell_len)).append_text(one) for one in formulas)


def _stacked(line: _TableRow, width: int, console: Console) -> Iterator[Text]:
    """The cells of one row below each other, without source and FLOPs, on a screen that is too narrow for columns."""
    yield from _wrapped_cell(line.label, width, line.indent, console)
    lead = " " * min(line.indent, width // 4)
    told = chain.from_iterable(zip_longest(line.shapes, line.formulas if line.renamed else (), fillvalue=Text()))
    for text in filter(None, (line.operation, *told, line.parameters)):
        yield from (Text(lead).append_text(part) for part in text.wrap(console, max(1, width - len(lead))))


def _wrapped_cell(text: Text, width: int, hang: int, console: Console) -> list[Text]:
    """The text in lines of a width, broken between words where possible; later lines are indented by `hang`."""
    if text.cell_len <= width:
        return [text]
    hang = min(hang, width // 2)
    head, *rest = text.wrap(console, width)
    if not rest:
        return [head]
    tail = text[len(head.plain) :]
    tail = tail[len(tail.plain) - len(tail.plain.lstrip()) :]
    return [head, *(Text(" " * hang).append_text(part) for part in tail.wrap(console, width - hang))]
