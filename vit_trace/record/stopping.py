"""Stops a forward in Python's debugger, at the line of the model that makes what is looked for."""

from __future__ import annotations

import pdb
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from fnmatch import fnmatchcase
from types import FrameType
from typing import Any

from vit_trace.base.words import shape_text
from vit_trace.record.meta.tensors import leaves, shape_of
from vit_trace.record.record import NEXT_WATCHER
from vit_trace.record.recorder import UNHEARD, Step, TorchCall
from vit_trace.record.source import frames

CHANGES = "changes"
"""The condition that holds where a step's result has another shape than what it is given."""
SIZES = re.compile(r"\d+(x\d+)*")

Shape = tuple[int, ...]


class Stops:
    """A watcher of one recording: stops where one of the conditions begins to hold.

    A condition is a size or a shape that no tensor given to the step has, CHANGES, or the name or operation of a
    stage, with wildcards.
    """

    def __init__(self, conditions: tuple[str, ...]) -> None:
        self.conditions = conditions
        self.inside: dict[str, None] = {}  # stages that are running, by name
        self.debugger = _Debugger()
        self.met: set[str] = set()

    def called(self, step: Step | None, call: TorchCall, out: Any) -> None:
        given = [shape_of(tensor) for _, tensor in leaves((call.args, call.kwargs))]
        made = [shape_of(tensor) for _, tensor in leaves(out)]
        if step is None or not made:
            return
        parts = step.module.split(".")
        now = dict.fromkeys((*(".".join(parts[: end + 1]) for end in range(len(parts))), step.name, step.operation))
        begun = [name for name in now if name not in self.inside or name == step.operation]
        self.inside = now
        met = [one for one in self.conditions if _holds(one, begun, given, made)]
        if met:
            self.met.update(met)
            self.debugger.stop(step)


def _holds(condition: str, begun: list[str], given: list[Shape], made: list[Shape]) -> bool:
    if condition == CHANGES:
        return bool(given) and made[0] != given[0]
    if SIZES.fullmatch(condition):
        wanted = tuple(map(int, condition.split("x")))
        return any(_has(shape, wanted) for shape in made) and not any(_has(shape, wanted) for shape in given)
    return any(fnmatchcase(name, condition) for name in begun)


def _has(shape: Shape, wanted: Shape) -> bool:
    return shape == wanted or (len(wanted) == 1 and wanted[0] in shape)


class _Debugger(pdb.Pdb):
    """Python's debugger, in the model's own frame; what is tried in it is not recorded."""

    def __init__(self) -> None:
        super().__init__(skip=["torch.*", "einops.*", "vit_trace.[!v]*"])
        self.steps: list[Step] = []  # that the next stop is for

    def stop(self, step: Step) -> None:
        """Stop once the line that called the step is done."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and not frames.is_own(frame):
            frame = frame.f_back
        if frame is None:
            return
        self.steps += [step] * (step not in self.steps)
        sys.settrace(None)  # else it would stop in itself
        self.reset()
        outer: FrameType | None = frame
        while outer is not None:
            outer.f_trace = self.trace_dispatch
            self.botframe, outer = outer, outer.f_back
        self.set_next(frame)
        sys.settrace(self.trace_dispatch)

    def interaction(self, *args: Any, **kwargs: Any) -> None:
        for step in self.steps:
            given, made = (" ".join(shape_text(one.shape) for one in some) for some in (step.inputs, step.outputs))
            self.message(f"{step.name}  {step.operation}  {given} → {made}".removesuffix(" → "))
        self.steps.clear()
        with UNHEARD(), redirect_stdout(self.stdout):
            super().interaction(*args, **kwargs)
        self.stdout.flush()

    def do_quit(self, arg: str) -> bool:
        """End the program as Ctrl-C does."""
        signal.raise_signal(signal.SIGINT)
        return super().do_quit(arg) or True

    do_q = do_exit = do_quit

    def do_EOF(self, arg: str) -> bool | None:
        """Ctrl-D quits; where nobody types, every stop is only told."""
        return self.do_quit(arg) if self.stdin.isatty() else self.do_continue(arg)


@contextmanager
def stopping(conditions: tuple[str, ...]) -> Iterator[Stops]:
    """Stop in the first forward that is recorded inside; the others are run to find formulas."""
    stops = Stops(conditions)
    token = NEXT_WATCHER.set([stops])
    try:
        yield stops
    finally:
        NEXT_WATCHER.reset(token)
