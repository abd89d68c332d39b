"""Gets the trace that a command line asks for: runs it, or reads a saved one without torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vit_trace.base.refused import refuse
from vit_trace.base.trace import Trace, TraceFormatError
from vit_trace.config.files import FileProblem, read_at_most, read_regular, too_large_note

if TYPE_CHECKING:
    from vit_trace.targets.request import Request
    from vit_trace.targets.target import Target


MAX_TRACE = 32 * 2**20
"""Bytes of the largest saved trace that is read: it takes about 150 MB of memory and 5 s."""


def run_trace(spec: str | None, model: Request, needs_source: bool = False, saved: str = "") -> Trace:
    """The trace of what the command line names, with source lines or saved bytes: "needed" or "if known".

    Raises Refused.
    """
    if needs_source:
        from vit_trace.record.source.listing import listed

        return listed(lambda: run_trace(spec, model, saved=saved))
    from vit_trace.diagnose.resolve import of_spec

    trace, target = of_spec(spec, model, import_torch)
    return _with_saved(trace, target, saved == "needed") if saved and trace.failure is None else trace


def _with_saved(trace: Trace, target: Target, needed: bool) -> Trace:
    """The trace with the bytes that its modules keep for backward. Raises Refused where they are needed."""
    from msgspec.structs import replace

    from vit_trace.memory.judge import saved_by_module
    from vit_trace.memory.subject import Unmeasured
    from vit_trace.targets.complaints import contained, returning

    try:
        with returning(), contained():
            saved = saved_by_module(target)
        return replace(trace, saved=saved)
    except Unmeasured as error:
        if not needed:
            return trace
        message = f"the memory of a training step could not be measured: {error}"
        raise refuse("memory-not-known", message) from None


def import_torch() -> None:
    """Import torch without its warning about numpy, then turn on the garbage collector, off since the start."""
    import gc
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Failed to initialize NumPy", UserWarning)
        import torch  # noqa: F401

    gc.freeze()
    gc.enable()


def read_trace(path: Path) -> Trace:
    """A saved trace; "-" is standard input. Raises Refused."""
    what = "a saved trace"
    try:
        text = read_at_most(sys.stdin.buffer, MAX_TRACE) if str(path) == "-" else read_regular(path, what, MAX_TRACE)
        if len(text) > MAX_TRACE:
            raise FileProblem("large", f"standard input is too large for {what}", (too_large_note(what, MAX_TRACE),))
    except FileProblem as found:
        raise refuse("unreadable-trace", found.message, notes=found.notes, help=found.help) from None
    except OSError as error:
        raise refuse("unreadable-trace", f"standard input cannot be read: {error.strerror or error}") from None
    from vit_trace.dims.saved import saved_trace

    try:
        return saved_trace(text)
    except TraceFormatError as error:
        advice = ("save one with: vit-trace --format json > trace.json",)
        raise refuse("not-a-trace", f"{path} is not a saved trace", notes=(str(error),), help=advice) from None


def reevaluated(trace: Trace, assignments: Sequence[str]) -> Trace:
    """The trace at other values, given as NAME=VALUE. Raises Refused."""
    from vit_trace.dims.values import ValuesError, at, changes_of

    pairs = [assignment.partition("=") for assignment in assignments]
    try:
        return at(trace, changes_of(trace, {name: value for name, _, value in pairs}))
    except ValuesError as error:
        raise refuse("cannot-evaluate", f"--with {error}", help=(error.help,) if error.help else ()) from None
