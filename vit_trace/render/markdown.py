"""Writes a trace as a Markdown page: its table as GitHub shows it, its tree or its listing as a fenced block.

What the model named is text on the page, whatever it holds: in a code span where that can hold it, else written so
that no Markdown is in it.
"""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Console

from vit_trace.base.trace import Listed, Trace
from vit_trace.render.columns import RIGHT
from vit_trace.render.commented import listing_blocks
from vit_trace.render.console import console_for
from vit_trace.render.diagnostics import print_diagnostic
from vit_trace.render.legible import printable
from vit_trace.render.tabular import TableLine, document_table
from vit_trace.render.tree import print_tree
from vit_trace.view.ranked import viewed_rows
from vit_trace.view.screen import Screen
from vit_trace.view.summary import legend, mixing_told, title, totals

WIDTH = 100
"""Columns of the screens that stand in fenced blocks."""

CODE = ("stage", "operation", "formula", "source")
"""Columns that hold code."""

MARKS = re.compile(r"(?<!\w)_|_(?!\w)|[^\w\s×·÷→…—.,()+=/%?'^\u2308\u2309\u2717-]|(?<=www)\.")
"""What Markdown, GitHub or HTML may take for more than text, wherever it stands in a line."""


def table_page(trace: Trace, screen: Screen) -> str:
    """The stages as a table, the symbols, the totals, and the failure where there is one."""
    table = document_table(trace, screen)
    head = [*map(marked_text, table.heads.values())]
    rule = ["---:" if name.split()[0] in RIGHT else "---" for name in table.heads]
    rows = [[_cell(line, name) for name in table.heads] for line in table.lines]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]
    said = [*totals(table.outline), *filter(None, [mixing_told(table.outline)])]
    parts = ["\n".join(lines), " · ".join(map(code_text, legend(table.outline))), " · ".join(map(marked_text, said))]
    return _page(trace, [*filter(None, parts), *_failure(trace)])


def tree_page(trace: Trace, screen: Screen) -> str:
    """The tree of the stages as text."""
    drawn = _drawn(lambda console: print_tree(viewed_rows(trace, screen), screen, console))
    return _page(trace, [_fenced(drawn.partition("\n")[2]), *_failure(trace)])


def listing_page(trace: Trace, listing: Sequence[Listed], ran_only: bool = False) -> str:
    """The listing as one block of Python."""
    code = "\n".join(listing_blocks(listing, ran_only)) or "# no code of the model's own ran here"
    return _page(trace, [_fenced(code, "python"), *_failure(trace)])


def code_text(text: str) -> str:
    """A code span; text where a table could not hold that."""
    return f"`{text}`" if text and not re.search(r"[`|\\]|^\s|\s$", text) else marked_text(text)


def marked_text(text: str) -> str:
    """Text that is only text in Markdown, in HTML and on GitHub."""
    return MARKS.sub(lambda found: f"&#{ord(found[0])};", printable(text))


def _page(trace: Trace, parts: Iterable[str]) -> str:
    name, *phrases = map(marked_text, title(trace))
    return "\n\n".join(filter(None, (f"# {name}", " · ".join(phrases), *parts))) + "\n"


def _cell(line: TableLine, name: str) -> str:
    write = code_text if name in CODE else marked_text
    lead = "&emsp;" * line.level if name == "stage" else ""
    return lead + "<br>".join(write(printable(text)) for text in line.cells[name] if text)


def _failure(trace: Trace) -> Iterator[str]:
    failure = trace.failure
    if failure is not None:
        yield _fenced(_drawn(lambda console: print_diagnostic(console, failure)))


def _drawn(draw: Callable[[Console], object]) -> str:
    """What is drawn on a screen, as text."""
    stream = io.StringIO()
    draw(console_for(stream, WIDTH))
    return stream.getvalue().strip("\n")


def _fenced(text: str, language: str = "text") -> str:
    """A block behind a fence that is longer than any in it."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 0)
    return f"{fence}{language}\n{text}\n{fence}"
