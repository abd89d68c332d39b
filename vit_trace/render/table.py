"""The table: stages down, what they do, their shapes, what the sizes are, parameters. Columns follow the width.

rich's own table knows no cell that reaches over its neighbours, and a formula on a narrow screen needs one: it stands
under its shape and may run back under the operation. So columns are laid out here, of cells that rich measures, wraps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from vit_trace.base.trace import TensorSpec
from vit_trace.render import cells, theme
from vit_trace.view.outline import Outline, Row, totals

GAP = 2
LEAST_OPERATION = 18
"""Columns an operation gets before formulas lose a column of their own."""

MOST_LABEL = 0.34
"""Share of the width that names of stages may take."""


class Line(NamedTuple):
    """One row of the table, laid out in cells that are not yet placed."""

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


class Columns(NamedTuple):
    """Widths; 0 for a column that is not shown."""

    label: int
    operation: int
    shape: int
    formula: int
    parameters: int
    flops: int
    source: int


def print_table(outline: Outline, console: Console) -> None:
    """Write title, constructor, stages, the symbols' legend and totals."""
    console.print(cells.title(outline, console.width))
    console.print()
    lines = list(table_lines(outline))
    columns = fit(lines, console.width)
    named = any(formula.plain for line in lines for formula in line.formulas)
    put(console, header(columns, named and columns.formula > 0))
    for line in lines:
        for text in placed(line, columns, console):
            put(console, text)
    console.print()
    if named and (legend := cells.legend(outline.trace)):
        console.print(cells.closing(legend, console.width, "  "))
        console.print()
    console.print(cells.closing(totals(outline), console.width))


def put(console: Console, text: Text) -> None:
    """One line as it is, without the blanks that follow it."""
    text.rstrip()
    console.print(text, no_wrap=True, overflow="ignore", crop=False)


def table_lines(outline: Outline) -> Iterator[Line]:
    """Every row's cells, each shape beside the one above it."""
    indent = 1 if outline.construction else 0
    if outline.construction:
        yield line_of(Row(0, "constructor", heading=True), None, 0)
        for row in outline.construction:
            yield line_of(row, None, indent)
        yield line_of(Row(0, "forward", heading=True), None, 0)
    before: TensorSpec | None = None
    for row in outline.rows:
        yield line_of(row, before, indent)
        if row.shapes and not row.heading:
            before = row.shapes[-1]


def line_of(row: Row, before: TensorSpec | None, indent: int) -> Line:
    """A row's cells; a heading shows no shape, its stages do."""
    shapes, formulas = [Text("")], [Text("")]
    if row.value:
        shapes, formulas = [Text(row.value)], [Text(cells.on_screen(row.formula), theme.SAME)]
    elif not row.heading:
        shapes = list(cells.shapes(row, before).split("\n"))
        formulas = list(cells.formulas(row, before).split("\n"))
    renamed = before is None or any(spec.dims != before.dims for spec in row.shapes)
    return Line(
        Text("  " * indent).append_text(cells.label(row)),
        2 * (indent + row.level) + 2,
        cells.operation(row),
        shapes,
        formulas,
        renamed,
        bool(row.value),
        Text(cells.per_block(row.parameters, row)),
        Text(cells.per_block(row.flops, row)),
        Text(cells.place(row.source), theme.SAME),
    )


def fit(lines: Sequence[Line], width: int) -> Columns:
    """Widths of the columns: first what everybody needs, then formulas, source lines and FLOPs as there is room.

    The constructor's long names are wrapped where that makes room for formulas.
    """
    cap = max(16, int(width * MOST_LABEL))
    label = min(widest([line.label for line in lines]), cap)
    short = min(widest([line.label for line in lines if not line.valued]), cap)
    operation = widest([line.operation for line in lines])
    shape = widest([text for line in lines for text in line.shapes])
    formula = widest([text for line in lines for text in line.formulas])
    parameters = max(len("params"), widest([line.parameters for line in lines]))
    flops = max(len("FLOPs"), widest([line.flops for line in lines]))
    source = widest([line.source for line in lines])
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
    return Columns(
        label,
        max(min(operation, left), 8),
        shape,
        formula if wide else 0,
        parameters,
        flops if with_flops else 0,
        source if with_source else 0,
    )


def widest(texts: Sequence[Text]) -> int:
    return max((text.cell_len for text in texts), default=0)


def header(columns: Columns, named: bool) -> Text:
    titles = [
        ("stage", columns.label, False),
        ("operation", columns.operation, False),
        ("shape", columns.shape, True),
        ("formula" if named else "", columns.formula, False),
        ("params", columns.parameters, True),
        ("FLOPs", columns.flops, True),
        ("source", columns.source, False),
    ]
    return row_of([(Text(title, theme.COLUMN), width, right) for title, width, right in titles if width])


def row_of(cells_: Sequence[tuple[Text, int, bool]]) -> Text:
    """Cells side by side, each padded to its width."""
    line = Text()
    for place, (text, width, right) in enumerate(cells_):
        if place:
            line.append(" " * GAP)
        pad = " " * max(0, width - text.cell_len)
        line.append_text(Text(pad).append_text(text) if right else text.copy().append(pad))
    return line


def placed(line: Line, columns: Columns, console: Console) -> Iterator[Text]:
    """The screen lines of one row."""
    if line.valued and line.formulas[0].plain and not columns.formula and not line.operation.plain:
        yield narrow(line, columns)
        return
    labels: Sequence[Text] = wrapped(line.label, columns.label, line.indent, console)
    operations: Sequence[Text] = wrapped(line.operation, columns.operation, 0, console)
    height = max(len(labels), len(operations), len(line.shapes))
    for place in range(height):
        parts = [
            (nth(labels, place), columns.label, False),
            (nth(operations, place), columns.operation, False),
            (nth(line.shapes, place), columns.shape, True),
        ]
        if columns.formula:
            parts.append((nth(line.formulas, place), columns.formula, False))
        first = place == 0
        parts.append((line.parameters if first else Text(), columns.parameters, True))
        if columns.flops:
            parts.append((line.flops if first else Text(), columns.flops, True))
        if columns.source:
            parts.append((line.source if first else Text(), columns.source, False))
        yield row_of(parts)
    if not columns.formula and line.renamed:
        yield from below(line.formulas, columns)


def narrow(line: Line, columns: Columns) -> Text:
    """A constructor's quantity on one line: n = 64, running back under the empty operation."""
    edge = columns.label + columns.operation + columns.shape + 2 * GAP
    told = Text().append_text(line.formulas[0]).append(" = ").append_text(line.shapes[0])
    return line.label.copy().append(" " * max(GAP, edge - line.label.cell_len - told.cell_len)).append_text(told)


def below(formulas: Sequence[Text], columns: Columns) -> Iterator[Text]:
    """Formulas under their shapes, ending where the shapes end."""
    edge = columns.label + columns.operation + columns.shape + 2 * GAP
    for formula in formulas:
        if formula.plain:
            yield Text(" " * max(2, edge - formula.cell_len)).append_text(formula)


def nth(texts: Sequence[Text], place: int) -> Text:
    return texts[place] if place < len(texts) else Text()


def wrapped(text: Text, width: int, hang: int, console: Console) -> list[Text]:
    """The text on lines of a width, broken between words where that can be; later lines hang."""
    if text.cell_len <= width:
        return [text]
    hang = min(hang, width // 2)
    head, *rest = text.wrap(console, width)
    if not rest:
        return [head]
    tail = text[len(head.plain) :]
    tail = tail[len(tail.plain) - len(tail.plain.lstrip()) :]
    return [head, *(Text(" " * hang).append_text(part) for part in tail.wrap(console, width - hang))]
