"""Lays out help in panels, in a terminal that is wide enough for them; elsewhere it stays plain, and quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import Any

NARROW = 80
"""Columns below which panels leave too little room."""


def in_panels(ctx: Any) -> bool:
    """Have the context's help laid out in panels, if there is room; whether there is."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb" or get_terminal_size().columns < NARROW:
        return False
    ctx.formatter_class = _panelled(type(ctx).formatter_class)
    return True


def _panelled(plain: Any) -> Any:
    """The parser's formatter, with each section in a panel."""

    class Panels(plain):  # type: ignore[misc]
        @contextmanager
        def section(self, name: str) -> Iterator[None]:
            self.name = name
            yield

        def write_dl(self, rows: Sequence[tuple[str, str]], *_: Any, **__: Any) -> None:
            self.write(_panel(self.name, rows))

    return Panels


def _panel(name: str, rows: Sequence[tuple[str, str]]) -> str:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from vit_trace.render.console import console_for

    table = Table.grid(padding=(0, 2, 0, 0))
    for words, help in rows:
        table.add_row(Text(words, "cyan"), Text(help))
    console = console_for(sys.stdout, min(get_terminal_size().columns, 100))
    with console.capture() as shown:
        console.print(Panel(table, title=Text(name, "bold"), title_align="left", border_style="dim"))
    return shown.get()
