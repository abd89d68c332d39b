"""Shows a progress bar on stderr while many configs are checked, on a terminal and after the first second."""

import sys
from collections.abc import Iterable, Iterator
from threading import Timer
from typing import TypeVar

from vit_trace.render.console import console_for

T = TypeVar("T")

DELAY = 1.0
"""Seconds until the bar appears; no result depends on it."""


def with_progress(verdicts: Iterable[T], total: int) -> Iterator[T]:
    """The verdicts as they come."""
    console = console_for(sys.stderr)
    if not console.is_terminal or total < 2:
        yield from verdicts
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True)
    task = progress.add_task("", total=total)
    timer = Timer(DELAY, progress.start)
    timer.daemon = True
    timer.start()
    try:
        for verdict in verdicts:
            progress.advance(task)
            yield verdict
    finally:
        timer.cancel()
        progress.stop()
