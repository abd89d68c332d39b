"""A forward that gives no tensor back: most often its `return` was forgotten. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.base.trace import Diagnostic, Trace
from vit_trace.diagnose.found import Found


def returns_nothing(trace: Trace) -> Iterator[Found]:
    """The whole forward ran, and no tensor came out of it."""
    if not trace.outputs and any(stage.kind in ("module", "function") for stage in trace.stages[1:]):
        yield Diagnostic("returns-nothing", "warning", "forward gives back no tensor: is its return missing?"), []
