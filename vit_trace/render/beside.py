"""Lays out traces of one model at several values side by side: the shapes of each stage, then what differs."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from vit_trace.render import cells, theme
from vit_trace.render.columns import Cell, Columns, broken, fitted
from vit_trace.view.beside import Labelled, differences, of_one_model, rows_beside
from vit_trace.view.rows import Row
from vit_trace.view.screen import Screen

Line = Mapping[str, list[Text]]
"""Column -> the lines of its cell."""


def print_beside(traces: Sequence[Labelled], screen: Screen, console: Console) -> None:
    """One column of shapes for each trace; sizes that differ from those of the first trace stand out."""
    console.print(cells.title_text(traces[0].trace, console.width))
    console.print()
    shapes = [f"beside {place}" for place in range(len(traces))]
    labels: Line = {name: [Text(one.label)] for name, one in zip(shapes, traces, strict=True)}
    found = list(differences(traces))
    if of_one_model(traces) and len({one.trace.target.spec for one in traces}) == 1:
        lines = [_stage_line(rows, shapes) for rows in rows_beside(traces, screen)]
        heads = {"stage": [Text("stage")], **labels, "formula": [Text("formula")]}
        _print_lines(heads, lines, [["stage", *shapes, "formula"], ["stage", *shapes]], console)
        console.print()
    if not found:
        console.print("nothing differs: the same stages, shapes and hyperparameters")
    if found:
        heads = {"stage": [Text("what differs")], **labels, "ratio": [Text("")]}
        lines = [
            {"stage": [Text(one.name)], "ratio": [Text(one.ratio, theme.SAME)]}
            | {name: [Text(value)] for name, value in zip(shapes, one.values, strict=True)}
            for one in found
        ]
        _print_lines(heads, lines, [["stage", *shapes, "ratio"], ["stage", *shapes]], console)


def _stage_line(rows: Sequence[Row], shapes: Sequence[str]) -> Line:
    """The cells of one stage: its shape in each trace, and the formula that all share."""
    first = rows[0]
    line = {"stage": [cells.label_cell(first)]}
    if first.shapes and not first.heading:
        line["formula"] = [cells.formula_cell(spec, None) for spec in {one.dims: one for one in first.shapes}.values()]
        for name, row in zip(shapes, rows, strict=False):
            pairs = {spec.dims: (spec, before) for spec, before in zip(row.shapes, first.shapes, strict=False)}
            line[name] = [cells.shape_cell(*pair) for pair in pairs.values()]
    return line


def _print_lines(heads: Line, lines: Sequence[Line], choices: Sequence[Sequence[str]], console: Console) -> None:
    """The lines under their heads, in the first choice of columns that fits the screen."""
    for names in choices:
        columns = fitted(names, {name: _cells(name, [heads, *lines]) for name in names}, console.width)
        if columns.total <= console.width:
            break
    for place, line in enumerate((heads, *lines)):
        for text in _placed(line, columns):
            text.stylize("" if place else theme.COLUMN)
            console.print(text, soft_wrap=True)


def _cells(name: str, lines: Sequence[Line]) -> list[Cell]:
    return [Cell(text, _hang(name, text)) for line in lines for text in line.get(name, [Text("")])]


def _hang(name: str, text: Text) -> int:
    return len(text.plain) - len(text.plain.lstrip()) + 2 if name == "stage" else 0


def _placed(line: Line, columns: Columns) -> Iterator[Text]:
    """The screen lines of one row."""
    stacks = {
        name: [part for text in line.get(name, ()) for part in broken(text, width, _hang(name, text))]
        for name, width in zip(columns.names, columns.widths, strict=True)
    }
    for place in range(max(map(len, stacks.values()))):
        yield columns.lay_out({name: stack[place] for name, stack in stacks.items() if place < len(stack)})
