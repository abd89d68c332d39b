"""Calls a function that raised again, with other arguments: what a person would change in that line."""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from traceback import walk_stack
from types import FrameType
from typing import Any

from msgspec.structs import replace
from torch.overrides import TorchFunctionMode

from vit_trace.base.trace import Source
from vit_trace.record.source import frames

FRAMES = 40
"""Frames of torch and of vit-trace between a call and the model's line; a call from further away is not changed."""

Given = tuple[tuple[Any, ...], dict[str, Any]]


class CalledAgain(TorchFunctionMode):
    """Hears every torch function; where the one at a span raises, it is called again with other arguments.

    One that `runs` is called with them at once.
    """

    def __init__(self, call: str, span: Source, edit: Callable[[Given], Given], runs: bool = False) -> None:
        super().__init__()
        self.call, self.span, self.edit, self.runs = call, span, edit, runs

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        meant = getattr(func, "__name__", "") == self.call
        try:
            if not (meant and self.runs and self.made_there(sys._getframe(1))):
                return func(*args, **given)
        except Exception:
            if not meant or not self.made_there(sys._getframe(1)):
                raise
        args, given = self.edit((args, given))
        return func(*args, **given)

    def made_there(self, frame: FrameType) -> bool:
        return _made_there(self.span, frame)


def _made_there(span: Source, frame: FrameType) -> bool:
    """Whether the expression at a span made the call."""
    calls = ((caller.f_code, caller.f_lasti) for caller, _ in islice(walk_stack(frame), FRAMES))
    spans = (frames.span(code, lasti) for code, lasti in calls if code.co_filename == span.file)
    return any(at is not None and replace(at, text=span.text) == span for at in spans)


EINOPS = ("rearrange", "repeat")
"""Functions of einops that hand over to its `reduce`."""


@contextmanager
def einops_called_again(span: Source, edit: Callable[[Given], Given]) -> Iterator[None]:
    """Where the call of einops at a span raises, it is called again with other arguments."""
    home: Any = importlib.import_module("einops.einops")
    before = home.reduce

    def again(tensor: Any, *args: Any, **lengths: Any) -> Any:
        try:
            return before(tensor, *args, **lengths)
        except Exception:
            if not _made_there(span, sys._getframe(1)):
                raise
            (tensor, *_), lengths = edit(((tensor,), lengths))
            return before(tensor, *args, **lengths)

    home.reduce = again
    try:
        yield
    finally:
        home.reduce = before
