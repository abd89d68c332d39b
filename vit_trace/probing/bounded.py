"""Stops constructors that run too many lines: a budget for building a model that does not depend on the clock."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from vit_trace.record.build.construction import loops
from vit_trace.record.source import frames

LINES, AFTER_FAILURE = 3_000_000, 300_000
"""Lines of the model's own code that one constructor may run; above this it raises TooLong. The second holds where the
forward failed, for the failure comes first, and in trials."""


class TooLong(Exception):
    """A constructor ran more lines than it may."""


class Bounded:
    """`make`, stopped where it runs too many lines of the model's own code. Calls the trace function that is set."""

    def __init__(self, make: Callable[[], object], failed: bool) -> None:
        self.make = make
        self.most = AFTER_FAILURE if failed else LINES
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
        return self.lines > self.most

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Whatever is raised once it was stopped is raised as TooLong."""
        try:
            yield
        except Exception:
            if self.stopped:
                raise self.too_long() from None
            raise

    def too_long(self) -> TooLong:
        return TooLong(f"its constructor runs more than {self.most:,} lines at other sizes")

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
                    raise self.too_long()
            elif inner is not None:
                inner = inner(frame, event, argument)
            return on_line

        return on_line


class Looping(Bounded):
    """The same, where nobody else wants to hear of lines: only those of functions that loop are counted."""

    def on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._on_line if loops(frame.f_code) else None

    def _on_line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.lines += 1
            if self.stopped:
                raise self.too_long()
        return self._on_line
