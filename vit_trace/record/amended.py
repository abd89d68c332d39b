"""Calls a function that raised again, with other arguments: what a person would change in that line."""

import sys
from collections.abc import Callable, Mapping
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
    """Hears every torch function; where the one at a span raises, it is called again with other arguments."""

    def __init__(self, call: str, span: Source, edit: Callable[[Given], Given]) -> None:
        super().__init__()
        self.call, self.span, self.edit = call, span, edit

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        try:
            return func(*args, **given)
        except Exception:
            if getattr(func, "__name__", "") != self.call or not self.made_there(sys._getframe(1)):
                raise
            args, given = self.edit((args, given))
            return func(*args, **given)

    def made_there(self, frame: FrameType | None) -> bool:
        """Whether the expression at the span made the call."""
        for _ in range(FRAMES):
            if frame is None:
                return False
            at = frames.span(frame.f_code, frame.f_lasti) if frame.f_code.co_filename == self.span.file else None
            if at is not None and replace(at, text=self.span.text) == self.span:
                return True
            frame = frame.f_back
        return False
