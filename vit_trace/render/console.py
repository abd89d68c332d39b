"""Makes every rich console: text is never markup, width and colour follow the terminal.

Output to a pipe is plain and as wide as it needs to be, unless COLUMNS limits it.
"""

import os
from typing import IO

from rich.console import Console

UNLIMITED = 100_000
"""Columns of a pipe; nothing is wrapped there."""


def console_for(stream: IO[str], width: int | None = None) -> Console:
    """A console that writes to `stream`. `width` wins over COLUMNS, COLUMNS over the terminal."""
    asked = os.environ.get("COLUMNS", "")
    if width is None and asked.isdecimal():
        width = int(asked) or None  # 0 means unset, as in a shell
    console = Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=False, width=width)
    if width is None and (not console.is_terminal or console.width <= 0):
        console.width = 80 if console.is_terminal else UNLIMITED
    return console
