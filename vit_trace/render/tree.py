"""The tree: what is inside what, each stage with the shape it is given and the shape it gives."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from vit_trace.base.trace import TensorSpec
from vit_trace.render import cells, theme
from vit_trace.view.outline import Outline, Row, totals


def print_tree(outline: Outline, console: Console) -> None:
    """Write title, stages and totals."""
    root = Tree(cells.title(outline, console.width), guide_style=theme.SAME)
    if outline.construction:
        constructor = root.add(Text("constructor", theme.HEADING))
        for row in outline.construction:
            constructor.add(line(row))
    branch = root.add(Text("forward", theme.HEADING)) if outline.construction else root
    path: list[Tree] = [branch]
    for row in outline.rows:
        del path[row.level + 1 :]
        path.append(path[-1].add(line(row)))
    console.print(root)
    console.print()
    console.print(cells.closing(totals(outline), console.width))


def line(row: Row) -> Text:
    """name  operation  5×65×1024 → 5×65×3072  b × n+1 × 3·heads·dim_head  3.15 M"""
    parts = [Text(cells.label(row).plain.strip(), theme.HEADING if row.heading else "")]
    if row.operation and row.operation != row.label:
        parts.append(cells.operation(row))
    if row.value:
        parts.append(Text(f"{row.value}"))
    given = row.before[0] if row.before and not row.failed else None
    if row.shapes:
        parts.append(arrow(row, given))
    if (formulas := cells.formulas(row, given)).plain and "\n" not in formulas.plain:
        parts.append(formulas)
    if row.formula:
        parts.append(Text(cells.on_screen(row.formula), theme.SAME))
    if row.parameters:
        parts.append(Text(cells.per_block(row.parameters, row), "green"))
    return Text("  ").join(parts)


def arrow(row: Row, given: TensorSpec | None) -> Text:
    """5×65×1024 → 5×65×3072; one shape where nothing changes."""
    made = Text(", ").join(cells.shapes(row, given).split("\n"))
    if given is None or cells.shape(given, None).plain == made.plain:
        return made
    return cells.shape(given, None).append(" → ").append_text(made)
