"""Reads saved traces, and evaluates them at other values. No torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from vit_trace.base.refused import refuse
from vit_trace.base.trace import Trace, TraceFormatError


def read_trace(path: Path) -> Trace:
    """A saved trace; "-" is standard input. Raises Refused."""
    try:
        text = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise refuse("unreadable-trace", f"{path}: {error.strerror or error}") from None
    try:
        return Trace.from_json(text)
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
