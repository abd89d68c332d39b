"""Watches a running script for `--first` and `--steps`: what its training step feeds, and where that changes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from msgspec import structs
from torch import nn

from vit_trace.base.trace import Diagnostic, Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.diagnose import of_case
from vit_trace.record.meta.tensors import leaves, shape_of
from vit_trace.record.raised.crash import held_by
from vit_trace.record.source import frames
from vit_trace.scripts.replay import Root, plain_case, quietly
from vit_trace.scripts.slices import sliced

CHANGED = "shapes-change"

Fed = tuple[str, tuple[tuple[int, ...], ...]]
"""A module that a step calls, and the shapes that it is given."""


class _Stop(SystemExit):
    """Ends the script once it has shown what was asked for."""


@dataclass
class _Watch:
    """What a script has fed so far; `show` gets the trace that is made inside `around`, and gives the exit code."""

    steps: int
    show: Callable[[Trace], int]
    around: Callable[[], AbstractContextManager[None]]
    fed: list[list[Fed]] = field(default_factory=lambda: [[]])
    first: Root | None = None
    trace: Trace | None = None
    within: threading.local = field(default_factory=threading.local)

    def called(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """An outermost module ran to its end."""
        shapes = tuple(shape_of(tensor) for _, tensor in leaves((args, kwargs)))
        if not any(True for _ in module.parameters()):
            return
        trains = torch.is_grad_enabled() and any(one.requires_grad for one in module.parameters())
        self.fed[-1].append((type(held_by(module)).__name__, shapes))
        if self.first is None:
            self.first = Root(held_by(module), args, kwargs)
            if not trains:
                self.trace = self.traced(self.first)
        if not trains:
            self.ended()

    def trained(self, frame: FrameType) -> None:
        """A loss is about to go backward."""
        if self.trace is None:
            around = sliced((frame, frame.f_lasti), through="backward") if frames.is_own(frame) else None
            root = Root(around.step, (), around.given) if around is not None and any(around.step.children()) else None
            self.trace = self.traced(root) or self.traced(self.first)
        self.ended()

    def ended(self) -> None:
        """A step is over. Raises _Stop after the last one."""
        if len(self.fed) >= self.steps:
            raise _Stop(self.shown())
        self.fed.append([])

    def traced(self, root: Root | None) -> Trace | None:
        """The trace of a call; what is run for it is not the script's."""
        if root is None:
            return None
        self.within.module = True
        try:
            with self.around(), quietly():
                return of_case(plain_case(root), lambda trace: trace)
        except Exception:  # whatever the program raises when it runs again
            return None
        finally:
            self.within.module = False

    def shown(self) -> int:
        """Show the first step and what changed since; the exit code."""
        trace = self.trace or self.traced(self.first)
        if trace is None:
            sys.stderr.write("vit-trace: the script called no module to its end\n")
            return 1
        changes, steps = list(self.changes()), [one for one in self.fed if one]
        code = self.show(structs.replace(trace, diagnostics=(*trace.diagnostics, *changes)))
        if len(steps) > 1 and not changes and len(set(map(len, steps[1:]))) == 1:  # the first may warm up
            sys.stderr.write(f"vit-trace: all {len(steps)} steps feed the same shapes\n")
        return code

    def changes(self) -> Iterator[Diagnostic]:
        """The steps that feed other shapes than the step before."""
        for place, (before, now) in enumerate(zip(self.fed, self.fed[1:], strict=False), 2):
            for (name, old), (_, new) in zip(before[::-1], now[::-1], strict=False):  # the first may warm up
                pairs = [(one, two) for one, two in zip(old, new, strict=False) if one != two]
                if pairs:
                    texts = ", ".join(f"{shape_text(two)} instead of {shape_text(one)}" for one, two in pairs)
                    yield Diagnostic(CHANGED, "note", f"step {place} feeds {name} {texts}")


@contextmanager
def watching(
    steps: int, show: Callable[[Trace], int], around: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """Stop the script after so many steps, and show the first one."""
    watch = _Watch(steps, show, around)
    call, backward = nn.Module.__call__, torch.Tensor.backward

    def watched(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if getattr(watch.within, "module", False):
            return call(self, *args, **kwargs)
        watch.within.module = True
        try:
            out = call(self, *args, **kwargs)
        finally:
            watch.within.module = False
        watch.called(self, args, kwargs)
        return out

    def trained(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        watch.trained(sys._getframe(1))
        return backward(self, *args, **kwargs)  # type: ignore[no-untyped-call]

    nn.Module.__call__, torch.Tensor.backward = watched, trained  # type: ignore[method-assign]
    try:
        yield
        raise _Stop(watch.shown())
    finally:
        nn.Module.__call__, torch.Tensor.backward = call, backward  # type: ignore[method-assign]
