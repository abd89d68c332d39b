"""Makes every rich console: text is never markup, width and colour follow the terminal.

Output to a pipe is plain and as wide as it needs to be, unless COLUMNS limits it.
"""

import os
from collections.abc import Iterator
from typing import IO, Any

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from vit_trace.base.words import whole_number
from vit_trace.render.legible import visible

UNLIMITED = 100_000
"""Columns of a pipe; nothing is wrapped there."""


class _VisibleConsole(Console):
    """A console whose texts hold no escape sequence but its own styles."""

    def render(self, *arguments: Any, **options: Any) -> Iterator[Segment]:
        for segment in super().render(*arguments, **options):
            text, style, control = segment
            yield segment if control or text == "\n" or text.isprintable() else Segment(visible(text), style)


def console_for(stream: IO[str], width: int | None = None) -> Console:
    """A console that writes to `stream`. `width` wins over COLUMNS, COLUMNS over the terminal."""
    asked = os.environ.get("COLUMNS", "")
    if width is None and asked.isdecimal():
        width = min(whole_number(asked), UNLIMITED) or None  # 0 means unset, as in a shell
    console = _VisibleConsole(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=False, width=width)
    if width is None and (not console.is_terminal or console.width <= 0):
        console.width = 80 if console.is_terminal else UNLIMITED
    return console


def put(console: Console, text: Text) -> None:
    """Print one line of a screen; what is wider than the screen goes on below."""
    ends, taken = [], 0
    for place, size in enumerate(map(cell_len, text.plain)) if text.cell_len > console.width else ():
        if taken and taken + size > console.width:
            ends.append(place)
            taken = 0
        taken += size
    console.print(Text("\n").join(text.divide(ends)) if ends else text, soft_wrap=True)
