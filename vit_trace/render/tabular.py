"""Gives the rows of a view as plain cells, for tables in documents: what the screen's table shows, placed by others."""

from collections.abc import Iterator
from typing import NamedTuple

from vit_trace.base.trace import Trace
from vit_trace.base.words import shape_text
from vit_trace.dims.values import UNKNOWN
from vit_trace.render import cells
from vit_trace.render.columns import FROM_WIDTH
from vit_trace.render.legible import printable
from vit_trace.render.table import TableRow, heads_of, shown_columns, table_rows
from vit_trace.view.outline import Outline, operation
from vit_trace.view.ranked import viewed_rows
from vit_trace.view.rows import Row
from vit_trace.view.screen import Screen

PAGE = FROM_WIDTH["formula"]
"""Columns of the screen whose table a page has, unless --width or --columns say otherwise."""


class TableLine(NamedTuple):
    """The texts of a row by column, several lines where it has several shapes, and how deep it is nested."""

    level: int
    cells: dict[str, list[str]]


class DocumentTable(NamedTuple):
    """The columns with their heads, the rows, and the outline that they are of."""

    heads: dict[str, str]
    lines: tuple[TableLine, ...]
    outline: Outline


def document_table(trace: Trace, screen: Screen) -> DocumentTable:
    """The rows of a view under the columns that hold something."""
    outline = viewed_rows(trace, screen)
    rows = list(table_rows(outline.rows, outline))
    named = any(formula.plain for row in rows for formula in row.formulas)
    columns = shown_columns(screen, screen.width or PAGE, named)
    lines = tuple(TableLine(row.indent // 2 - 1, {name: _texts(row, name) for name in columns}) for row in rows)
    heads = heads_of("stage", outline)
    held = [name for name in columns if name == "stage" or any(any(line.cells[name]) for line in lines)]
    return DocumentTable({name: heads[name] for name in held}, lines, outline)


def _texts(row: TableRow, column: str) -> list[str]:
    return [text.plain.strip() for text in row.lines(column)]


RECORD = ("stage", "operation", "shape", "formula", "params", "flops", "saved", "mixes", "source", "blocks")
"""Columns of records; `blocks` is how many equal steps a sorted row counts."""

Record = dict[str, str | int | None]
"""Column of RECORD -> what a stage has there: a text, a whole number, None where it is not known."""


def records(trace: Trace, screen: Screen) -> Iterator[Record]:
    """Each stage of a view under its whole name, with whole numbers that add up to the totals; nothing is folded."""
    outline = viewed_rows(trace, screen._replace(fold=False))
    whole = not (screen.stage or screen.sort or screen.top)
    for row in (*(_root_rows(trace) if whole else ()), *outline.rows):
        specs = () if row.failed else row.shapes
        formulas = [cells.formula_cell(spec, None).plain for spec in specs]
        texts = {
            "stage": (row.label if screen.sort or row.stage is None else trace.stages[row.stage].name) or "(root)",
            "operation": row.operation,
            "shape": "; ".join(shape_text(spec.shape) for spec in specs),
            "formula": "; ".join(formulas) if any(formulas) else "",
            "mixes": ", ".join(row.mixes),
            "source": cells.source_cell(row.source).plain,
        }
        counts = {"params": row.parameters, "flops": row.flops, "saved": row.saved or UNKNOWN, "blocks": row.repeats}
        known = {name: None if count == UNKNOWN else count for name, count in counts.items()}
        found: Record = {name: printable(text) for name, text in texts.items()} | known
        yield {name: found[name] for name in RECORD}


def _root_rows(trace: Trace) -> Iterator[Row]:
    """The row of the whole model, which views leave out: it may hold parameters of its own."""
    for stage in trace.stages:
        if stage.kind == "module" and not stage.module:
            yield Row(0, "", operation(stage), stage.outputs, (), 1, stage.parameters, stage.flops, stage=stage.index)
