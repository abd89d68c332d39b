"""Makes every rich console: text is never markup, width and colour follow the terminal.

Output to a pipe is plain, and as wide as COLUMNS or as the terminal that the program was started in; without one, and
in files, as wide as it needs to be.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from vit_trace.base.words import whole_number
from vit_trace.render.legible import CHOSEN, visible

UNLIMITED = 100_000
"""Columns of a pipe; nothing is wrapped there."""


def _environment() -> dict[str, str]:
    """Variables that rich reads, but for the sizes: it takes COLUMNS=² or a LINES of 5,000 digits for a number."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


class FittingConsole(Console):
    """A console whose texts hold no escape sequence but its own styles, and whose lines go on below at its edge."""

    edge = UNLIMITED

    def render(self, *arguments: Any, **options: Any) -> Iterator[Segment]:
        taken = 0
        for text, style, control in super().render(*arguments, **options):
            if not control and text != "\n" and not text.isprintable():
                text = visible(text)
            if not control and self.edge < UNLIMITED:
                text, taken = _folded(text, taken, self.edge)
            yield Segment(text, style, control)

    def print_whole(self, text: Text) -> None:
        """Print a line that stays whole, so that terminals and editors can follow it: file.py:10:5."""
        before, self.edge = self.edge, UNLIMITED
        self.print(text, soft_wrap=True)
        self.edge = before


def _folded(text: str, taken: int, width: int) -> tuple[str, int]:
    """The text in lines of at most `width` cells, `taken` cells of its first one in use; the cells in use of its last.

    A character that is wider than the width has a line of its own.
    """
    lines = text.split("\n")
    for place, line in enumerate(lines):
        taken = taken if not place else 0
        if taken + (size := cell_len(line)) <= width:
            taken += size
            continue
        parts = []
        for character in chop_cells(line, 1):
            size = cell_len(character)
            if taken and taken + size > width:
                parts.append("\n")
                taken = 0
            parts.append(character)
            taken += size
        lines[place] = "".join(parts)
    return "\n".join(lines), taken


def terminal_columns(stream: IO[str]) -> int:
    """Columns of the terminal that stdout or, where that goes to a pipe or file, stderr is; 0 without one."""
    for other in (stream, sys.stderr) if stream is sys.stdout else ():
        with suppress(OSError, ValueError, AttributeError):
            return os.get_terminal_size(other.fileno()).columns
    return 0


def console_for(stream: IO[str], width: int | None = None) -> FittingConsole:
    """A console that writes to `stream`. `width` wins over COLUMNS, COLUMNS over the terminal."""
    asked = os.environ.get("COLUMNS", "")
    if width is None and asked.isdecimal():
        width = min(whole_number(asked), UNLIMITED) or None  # 0 means unset, as in a shell
    width = width or terminal_columns(stream) or None
    console = FittingConsole(
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
        width=width,
        force_jupyter=False,  # which would show it in the cell, and write nothing
        force_terminal={"always": True, "never": False}.get(CHOSEN["color"]),
        color_system=None if CHOSEN["color"] == "never" else "auto",
        _environ=_environment(),
    )
    if width is None and (not console.is_terminal or console.width <= 0):
        console.width = 80 if console.is_terminal else UNLIMITED
    console.edge = console.width
    return console
