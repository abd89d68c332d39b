"""Stops constructors that run too many lines: a budget for building a model that does not depend on the clock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from vit_trace.record.source import frames

LINES = 3_000_000
"""Lines of the model's own code that one constructor may run; above this it raises TooLong. A second or two."""


class TooLong(Exception):
    """A constructor ran more than LINES lines."""

    def __str__(self) -> str:
        return f"its constructor runs more than {LINES:,} lines at other sizes"


class Bounded:
    """`make`, stopped after LINES lines of the model's own code. Calls the trace function that is set already."""

    def __init__(self, make: Callable[[], object]) -> None:
        self.make = make
        self.lines = 0
        self.outer: Any = None

    def __call__(self) -> object:
        self.lines, self.outer = 0, sys.gettrace()
        sys.settrace(self.on_call)
        try:
            return self.make()
        finally:
            sys.settrace(self.outer)

    @property
    def stopped(self) -> bool:
        return self.lines > LINES

    def on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        inner = self.outer(frame, event, argument) if self.outer is not None else None
        if frames.owner(frame.f_code.co_filename) != frames.OWN:
            return inner
        frame.f_trace_lines = True

        def on_line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal inner
            if event == "line":
                self.lines += 1
                if self.stopped:
                    raise TooLong
            elif inner is not None:
                inner = inner(frame, event, argument)
            return on_line

        return on_line
