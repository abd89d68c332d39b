"""Explains what failed while a factory or a file ran, where it was a forward or a data loader, not a constructor."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Diagnostic
from vit_trace.record.source import frames

if TYPE_CHECKING:
    from vit_trace.record.raised.crash import Crash

LOADER = os.path.join("torch", "utils", "data", "")


def failed_within(spec: str, refused: Refused, error: BaseException) -> Refused | None:
    """The refusal with what really failed: a forward with its diagnosis, a loader; None where it was neither.

    A forward that a constructor runs is the constructor's.
    """
    if "torch" not in sys.modules or len(refused.diagnostics) != 1:
        return None
    from vit_trace.record.raised.crash import Crash

    crash, known = Crash(error), refused.diagnostics[0]
    name = spec.rpartition(":")[2] if ":" in spec else spec
    for place, (frame, _) in enumerate(crash.entries):
        if place in crash.calls[:1]:
            return None if crash.constructor is not None else _in_forward(name, crash, place, known)
        if LOADER in frame.f_code.co_filename and crash.caller(place) is not None:
            text = f"{name} failed inside a data loader{_line_text(crash, place)}"
            return Refused(replace(known, code="loader-failed", message=text))
    return None


def _line_text(crash: Crash, place: int) -> str:
    """ " at line 34": the last of the user's own lines on the way there."""
    caller = crash.caller(place)
    span = frames.span(caller[0].f_code, caller[1]) if caller is not None else None
    return f" at line {span.line}" if span is not None else ""


def _in_forward(name: str, crash: Crash, place: int, known: Diagnostic) -> Refused:
    """The forward that failed, explained as if it had been traced alone."""
    from vit_trace.diagnose.diagnose import of_model
    from vit_trace.targets.complaints import silenced

    held = crash.entries[place][0].f_locals
    model: Any = held.get("self")
    text = f"{name} failed inside a forward of {type(model).__name__}{_line_text(crash, place)}"
    plain = Refused(replace(known, code="forward-failed", message=text))
    try:
        with silenced():
            failure = of_model(model, held.get("args", ()), held.get("kwargs", {})).failure
    except Exception:  # what the user's model raises when it runs again
        return plain
    if failure is None:
        return plain
    found = Diagnostic(failure.code, "error", f"{text}: {failure.message}", failure.span)
    return Refused(replace(found, notes=failure.notes, help=failure.help, labels=failure.labels))
