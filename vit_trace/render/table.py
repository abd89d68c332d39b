"""Lays out a trace as a table; on a narrow screen formulas stand under their shapes and may reach under the operation.

rich's own table has no cell that reaches over its neighbours: `columns` measures and breaks the cells, this file places
them.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, zip_longest
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from vit_trace.base.trace import TensorSpec
from vit_trace.dims.formula import on_screen
from vit_trace.render import cells, theme
from vit_trace.render.columns import FROM_WIDTH, GAP, Cell, Columns, broken, fitted
from vit_trace.view.constructor import construction_phrases, construction_rows
from vit_trace.view.outline import Outline
from vit_trace.view.rows import Row
from vit_trace.view.screen import COLUMNS, ORDERS, Screen
from vit_trace.view.summary import batch_of, legend, mixing_told, share_text, totals


class TableRow(NamedTuple):
    """The cells of one row, not yet placed: texts by column, and several shapes with their formulas.

    `renamed` says that a formula differs from the one above it.
    """

    texts: dict[str, Text]
    indent: int
    shapes: list[Text]
    formulas: list[Text]
    renamed: bool

    def lines(self, name: str) -> list[Text]:
        """The lines of a column before any is broken."""
        stacks = {"shape": self.shapes, "formula": self.formulas}
        return stacks[name] if name in stacks else [self.texts[name]]

    def hang(self, name: str) -> int:
        return self.indent if name == "stage" else 0


def print_table(outline: Outline, screen: Screen, console: Console) -> None:
    """Write title, stages, the symbols' legend, what the constructors worked out, and totals."""
    width, trace = console.width, outline.trace
    console.print(cells.title_text(trace, width))
    console.print()
    _print_rows(outline.rows, outline, screen, console)
    console.print()
    asked = screen.constructor and not outline.partial
    made = [] if asked or outline.partial else construction_phrases(trace)
    if phrases := legend(outline):
        console.print(cells.joined_phrases(phrases, width, "  "))
    if made:
        console.print(cells.joined_phrases(made, width, "  ", "constructor  "))
    if phrases or made:
        console.print()
    if asked:
        _print_rows(construction_rows(trace), outline, screen, console, "constructor")
        console.print()
    console.print(cells.joined_phrases(totals(outline), width))
    if told := mixing_told(outline):
        console.print(cells.joined_phrases(told.split(", "), width, ", "))


def _print_rows(rows: Sequence[Row], outline: Outline, screen: Screen, console: Console, first: str = "stage") -> None:
    """Rows under their heads, in columns; below each other on a screen that is too narrow for columns."""
    lines = list(table_rows(rows, outline))
    named = any(formula.plain for line in lines for formula in line.formulas)
    columns = _columns(lines, shown_columns(screen, console.width, named), first, outline, console.width)
    if columns.total > console.width:
        texts = chain.from_iterable(map(partial(_stacked, width=console.width), lines))
    else:
        heads = {name: Text(text, theme.COLUMN) for name, text in heads_of(first, outline).items()}
        below = named and "formula" not in columns.names and "shape" in columns.names and not screen.columns
        placed = map(partial(_screen_lines, columns=columns, below=below, width=console.width), lines)
        texts = chain([columns.lay_out(heads)], *placed)
    for text in texts:
        text.rstrip()
        console.print(text, soft_wrap=True)


def shown_columns(screen: Screen, width: int, named: bool) -> list[str]:
    """Names of the columns at a width, in order; with a share beside what the rows are sorted by."""
    shown = list(screen.columns) or [name for name in COLUMNS if FROM_WIDTH[name] <= width or name == screen.sort]
    if not named and not screen.columns:
        shown = [name for name in shown if name != "formula"]
    if screen.sort == "saved":
        shown.insert(len([name for name in shown if name not in ("mixes", "source")]), "saved")
    if screen.sort:
        shown = [name for name in shown if name not in ORDERS or name == screen.sort or width >= FROM_WIDTH["formula"]]
        shown.insert(shown.index(screen.sort) + 1 if screen.sort in shown else len(shown), "share")
    return shown


def heads_of(first: str, outline: Outline) -> dict[str, str]:
    """The head of each column."""
    flops = "FLOPs/image" if batch_of(outline.trace) else "FLOPs"
    return dict(zip(COLUMNS, COLUMNS, strict=True)) | {"stage": first, "flops": flops, "share": "", "saved": "saved"}


def _columns(lines: Sequence[TableRow], names: Sequence[str], first: str, outline: Outline, width: int) -> Columns:
    heads = heads_of(first, outline)
    held = {
        name: [
            Cell(Text(heads[name])),
            *(Cell(text, line.hang(name), name == "formula") for line in lines for text in line.lines(name)),
        ]
        for name in names
    }
    empty = [name for name in names if name not in ("stage", "operation", "shape") and len({*map(str, held[name])}) < 2]
    return fitted([name for name in names if name not in empty], held, width)


def table_rows(rows: Sequence[Row], outline: Outline) -> Iterator[TableRow]:
    """Every row's cells, each shape beside the one above it."""
    before: TensorSpec | None = None
    for row in rows:
        yield _row_of(row, before, outline)
        if row.shapes and not row.heading:
            before = row.shapes[-1]


def _row_of(row: Row, before: TensorSpec | None, outline: Outline) -> TableRow:
    """A row's cells; a heading shows no shape, its stages do."""
    shapes, formulas = [Text("")], [Text("")]
    if row.value:
        shapes, formulas = [Text(row.value)], [Text(on_screen(row.formula), theme.SAME)]
    elif not row.heading:
        shapes, formulas = cells.tensor_cells(row, before)
    renamed = before is None or any(spec.dims != before.dims for spec in row.shapes)
    batch = batch_of(outline.trace) or 1
    texts = {
        "stage": cells.label_cell(row),
        "operation": cells.operation_cell(row),
        "params": Text(cells.per_block(row.parameters, row)),
        "flops": Text(cells.per_block(row.flops, row, batch)),
        "saved": Text(cells.bytes_per_block(row)),
        "share": Text(share_text(*row.share), theme.CHANGED),
        "mixes": Text(", ".join(row.mixes)),
        "source": cells.source_cell(row.source),
    }
    return TableRow(texts, 2 * row.level + 2, shapes, formulas, renamed)


def _screen_lines(line: TableRow, columns: Columns, below: bool, width: int) -> list[Text]:
    """The screen lines of one row; its formulas `below` the shapes where they have no column or are too long for it."""
    stacks, edge = {}, "shape"
    for name in columns.names:
        parts = (broken(text, columns.width_of(name), line.hang(name)) for text in line.lines(name))
        stacks[name] = list(chain.from_iterable(parts))
    if len(stacks.get("formula", ())) > len(line.formulas):
        stacks["formula"], edge, below = [], "formula", True
    lines = range(max(map(len, stacks.values())))
    laid = [columns.lay_out({name: stack[at] for name, stack in stacks.items() if at < len(stack)}) for at in lines]
    if below and line.renamed:
        end = columns.edge(edge)
        pieces = (broken(one, width if edge == "shape" else end) for one in line.formulas if one.plain)
        for one in chain.from_iterable(pieces):
            beside = len(laid) > 1 and laid[-1].cell_len + GAP <= end - one.cell_len
            before = laid.pop() if beside else Text()
            laid.append(before.append(" " * max(0, end - one.cell_len - before.cell_len)).append_text(one))
    return laid


def _stacked(line: TableRow, width: int) -> Iterator[Text]:
    """The cells of one row below each other, without source and FLOPs."""
    yield from broken(line.texts["stage"], width, min(line.indent, width // 2))
    lead = " " * min(line.indent, width // 4)
    told = chain.from_iterable(zip_longest(line.shapes, line.formulas if line.renamed else (), fillvalue=Text()))
    for text in filter(None, (line.texts["operation"], *told, line.texts["params"])):
        yield from (Text(lead).append_text(part) for part in broken(text, max(1, width - len(lead))))
