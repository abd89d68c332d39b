"""Reads what an exception and its traceback tell: the calls of modules, the user's own lines. Runs nothing."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from types import FrameType
from typing import Any

import torch
from torch import nn

from vit_trace.base.trace import Source
from vit_trace.record.recorder import CALL_IMPL
from vit_trace.record.source import frames

KINDS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)
OTHERS = (RecursionError, NotImplementedError, UnicodeError)
"""Kinds of exceptions that a shape may be the reason of, and kinds of them that it is not."""

WRAPPERS = ("torch.nn.parallel.", "torch.distributed.", "torch._dynamo.", "torch.ao.")
"""Packages whose modules hand a call on to the one that they hold."""

HELD = ("module", "_orig_mod", "_fsdp_wrapped_module")
"""Attributes that hold it."""

Entry = tuple[FrameType, int]
"""A frame, and the instruction that raised or called on."""


@dataclass(frozen=True)
class Crash:
    """One exception with the frames that it passed through, outermost first."""

    error: BaseException

    @cached_property
    def entries(self) -> list[Entry]:
        return [one for one in frames.entries(self.error.__traceback__) if not _of_ours(one[0])]

    @cached_property
    def own(self) -> list[Entry]:
        """The frames in files of the program and of libraries that are not torch."""
        return [one for one in self.entries if frames.is_own(one[0])]

    @cached_property
    def span(self) -> Source | None:
        """The innermost expression of those."""
        spans = (frames.span(frame.f_code, lasti) for frame, lasti in reversed(self.own))
        return next((span for span in spans if span is not None), None)

    @cached_property
    def calls(self) -> list[int]:
        """Places of the calls of modules, without those that only hand on."""
        found = [place for place, (frame, _) in enumerate(self.entries) if frame.f_code is CALL_IMPL]
        inner = [place for place in found if not _hands_on(self.entries[place][0].f_locals.get("self"))]
        return inner or found[-1:]  # a compiled module runs none within

    @cached_property
    def constructor(self) -> FrameType | None:
        """The outermost constructor of a module that the exception passed through, where it ran no module before."""
        before = self.calls[0] if self.calls else len(self.entries)
        for frame, _ in self.entries[:before]:
            held = frame.f_locals.get("self")
            if frame.f_code.co_name == "__init__" and isinstance(held, nn.Module):
                return frame
        return None

    @property
    def quoted(self) -> str:
        """RuntimeError: and what it says, on one line."""
        return f"{type(self.error).__name__}: {' '.join(str(self.error).split())}"[:400]

    def caller(self, place: int) -> Entry | None:
        """The own frame that made the call at a place."""
        return next((one for one in reversed(self.entries[:place]) if frames.is_own(one[0])), None)

    def forget(self) -> None:
        """Drop what reading the variables of frames has copied: frames that still run would keep it until they end."""
        if sys.version_info >= (3, 13) or sys.gettrace() is not None:
            return
        for frame, _ in frames.entries(self.error.__traceback__):
            if frame.f_code.co_flags & inspect.CO_OPTIMIZED:  # else the dictionary is the variables
                frame.f_locals.clear()

    def is_of_shapes(self) -> bool:
        """Whether a shape may be the reason, by the kind of the exception alone."""
        return isinstance(self.error, KINDS) and not isinstance(self.error, (*OTHERS, torch.OutOfMemoryError))


def _of_ours(frame: FrameType) -> bool:
    return frames.is_machinery(frame.f_code.co_filename)


def _hands_on(module: Any) -> bool:
    return str(type(module).__module__).startswith(WRAPPERS) and held_by(module) is not module


def held_by(module: Any) -> Any:
    """The module within wrappers of torch."""
    for _ in range(8):
        inner = next(
            (found for name in HELD if name in module._modules and (found := module._modules[name]) is not None), None
        )
        if inner is None or not str(type(module).__module__).startswith(WRAPPERS):
            return module
        module = inner
    return module


def crashes(error: BaseException) -> Iterator[Crash]:
    """The exception that was raised first, those that were made of it; then what happened before them."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__
    yield from (Crash(one) for one in reversed(chain))
    context = error.__context__
    if context is not None and context not in chain and not error.__suppress_context__:
        yield from crashes(context)
