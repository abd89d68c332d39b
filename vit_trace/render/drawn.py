"""A screen that is drawn when it is printed: as text, and as a renderable of rich."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator

from rich.console import Console, ConsoleOptions
from rich.text import Text

from vit_trace.render.console import terminal_columns
from vit_trace.render.legible import CHOSEN


class Drawn:
    """What is to be seen; `print` shows it as text, rich's `print` in colour."""

    def __init__(self, draw: Callable[[io.StringIO, int | None], None]) -> None:
        self.draw = draw

    def checked(self) -> Drawn:
        """The same, drawn once, so that what it raises is raised now."""
        self.to_text()
        return self

    def to_text(self, width: int | None = None) -> str:
        """Plain text, at most `width` columns wide; as wide as it needs to be without."""
        return self._drawn(width, "never")

    def _drawn(self, width: int | None, color: str) -> str:
        """The text with or without colour, whatever the environment asks of a terminal."""
        stream, before = io.StringIO(), CHOSEN["color"]
        CHOSEN["color"] = color
        try:
            self.draw(stream, width)
        finally:
            CHOSEN["color"] = before
        return stream.getvalue()

    def __str__(self) -> str:
        """Plain text that fits the terminal, where stdout is one."""
        shown = getattr(sys.stdout, "isatty", bool)()  # what a program put in its place may have no isatty
        return self.to_text(terminal_columns(sys.stdout) if shown else None)

    __repr__ = __str__

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        color = "always" if console.color_system else "never"
        yield Text.from_ansi(self._drawn(options.max_width, color).rstrip("\n"))
