"""The one maker of rich consoles: text is never markup, width and colour follow the terminal.

What goes to a pipe is plain and as wide as it needs to be, unless COLUMNS says otherwise.
"""

from __future__ import annotations

import os
from typing import IO

from rich.console import Console

UNLIMITED = 100_000
"""Columns of a pipe."""


def console_for(stream: IO[str], width: int | None = None) -> Console:
    """A console that writes to `stream`. `width` wins over COLUMNS, COLUMNS over the terminal."""
    console = Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=False, width=width)
    if width is None and not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console.width = UNLIMITED
    return console
