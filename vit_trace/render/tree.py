"""Lays out a trace as a tree: what is inside what, each stage with the shapes of its input and output."""

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from vit_trace.dims.formula import on_screen
from vit_trace.render import cells, theme
from vit_trace.view.constructor import construction_phrases, construction_rows
from vit_trace.view.outline import Outline
from vit_trace.view.rows import Row
from vit_trace.view.screen import Screen
from vit_trace.view.summary import totals


def print_tree(outline: Outline, screen: Screen, console: Console) -> None:
    """Write title, stages, what the constructors worked out, and totals."""
    trace = outline.trace
    root = Tree(cells.title_text(trace, console.width), guide_style=theme.SAME)
    path: list[Tree] = [root]
    for row in outline.rows:
        del path[row.level + 1 :]
        path.append(path[-1].add(_line(row)))
    if screen.constructor and not outline.partial:
        constructor = root.add(Text("constructor", theme.HEADING))
        for row in construction_rows(trace):
            constructor.add(_line(row))
    console.print(root)
    console.print()
    if not screen.constructor and not outline.partial and (made := construction_phrases(trace)):
        console.print(cells.joined_phrases(made, console.width, "  ", "constructor  "))
        console.print()
    console.print(cells.joined_phrases(totals(outline), console.width))


def _line(row: Row) -> Text:
    """name  operation  5×65×1024 → 5×65×3072  b × n+1 × 3·heads·dim_head  3.15 M"""
    parts = [Text(cells.label_cell(row).plain.strip(), theme.HEADING if row.heading else "")]
    if row.operation and row.operation != row.label:
        parts.append(cells.operation_cell(row))
    if row.value:
        parts.append(Text(row.value))
    given = row.before[0] if row.before and not row.failed else None
    shapes, formulas = cells.tensor_cells(row, given)
    if row.shapes:
        made = Text(", ").join(shapes)
        if given is not None and cells.shape_cell(given, None).plain != made.plain:
            made = cells.shape_cell(given, None).append(" → ").append_text(made)
        parts.append(made)
    if len(formulas) == 1 and formulas[0].plain:
        parts += formulas
    if row.formula:
        parts.append(Text(on_screen(row.formula), theme.SAME))
    if row.parameters:
        parts.append(Text(cells.per_block(row.parameters, row), "green"))
    return Text("  ").join(parts)
