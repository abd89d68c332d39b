"""Writes what was found of a crash after Python's own account of it. Never raises: a failure of ours is one line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vit_trace.scripts.explain import Explanation


def tell(error: BaseException, files: Sequence[str] = ()) -> None:
    """Explain an exception on stderr, and in files where they are wanted."""
    from vit_trace.scripts.ranks import place_in_run, report_together

    found: Explanation | None = None
    place = place_in_run()
    try:
        from vit_trace.scripts.explain import explanation
        from vit_trace.scripts.saved import write_found

        found = explanation(error)
        if place is None and found is not None:
            write_found(found.diagnostics, sys.stderr)
    except Exception as ours:
        _say(f"vit-trace could not explain it ({type(ours).__name__}: {str(ours)[:200]}): please report this")
    if place is not None:
        report_together(place, type(error).__name__, f"{found}\n" if found is not None else "")
    if files and (place is None or place.rank == 0):
        from vit_trace.scripts.saved import save

        try:
            diagnostics, trace = (found.diagnostics, found.trace) if found is not None else ((), None)
            save(error, diagnostics, trace, files)
        except OSError as problem:
            _say(f"vit-trace: the report cannot be written: {problem}")


def _say(text: str) -> None:
    try:
        sys.stderr.write(f"{text}\n")
    except (OSError, ValueError):  # stderr is closed
        return
