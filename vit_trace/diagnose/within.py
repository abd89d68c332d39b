"""Explains what failed while a factory or a file ran, where it was a forward or a data loader, not a constructor."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from msgspec.structs import replace

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Diagnostic
from vit_trace.record.source import frames

LOADER = os.path.join("torch", "utils", "data", "")


def failed_within(spec: str, refused: Refused, error: BaseException) -> Refused | None:
    """The refusal with what really failed: a forward with its diagnosis, a loader; None where it was neither.

    A forward that a constructor runs is the constructor's.
    """
    torch = sys.modules.get("torch")
    if torch is None or len(refused.diagnostics) != 1:
        return None
    entries, known = frames.entries(error.__traceback__), refused.diagnostics[0]
    call = torch.nn.Module._call_impl.__code__
    name = spec.rpartition(":")[2] if ":" in spec else spec
    for place, (frame, _) in enumerate(entries):
        own = [(one, lasti) for one, lasti in entries[:place] if frames.is_own(one)]
        if frame.f_code is call:
            return None if any(_constructs(one, torch) for one, _ in own) else _in_forward(name, frame, own, known)
        if LOADER in frame.f_code.co_filename and own:
            text = f"{name} failed inside a data loader{_line_text(own)}"
            return Refused(replace(known, code="loader-failed", message=text))
    return None


def _constructs(frame: FrameType, torch: Any) -> bool:
    return frame.f_code.co_name == "__init__" and isinstance(frame.f_locals.get("self"), torch.nn.Module)


def _line_text(own: Sequence[tuple[FrameType, int]]) -> str:
    """ " at line 34": the last of the user's own lines on the way there."""
    span = frames.span(own[-1][0].f_code, own[-1][1]) if own else None
    return f" at line {span.line}" if span is not None else ""


def _in_forward(name: str, frame: FrameType, own: Sequence[tuple[FrameType, int]], known: Diagnostic) -> Refused:
    """The forward that failed, explained as if it had been traced alone."""
    from vit_trace.diagnose.diagnose import of_model
    from vit_trace.targets.complaints import silenced

    held = frame.f_locals
    model: Any = held.get("self")
    text = f"{name} failed inside a forward of {type(model).__name__}{_line_text(own)}"
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
