"""Says a finding in lines of text, and finds its place in the user's own files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vit_trace.base.trace import Diagnostic, Source
from vit_trace.render.diagnostics import COMMAND_LINE, STYLES, near_here

if TYPE_CHECKING:
    from vit_trace.check.verdict import Verdict


def finding_place(verdict: Verdict, diagnostic: Diagnostic) -> Source | None:
    """The span if it lies in a file of the user's; else the start of the config; None without a file."""
    span = diagnostic.span
    if span is not None and span.file != COMMAND_LINE and (own(span.file) or not Path(verdict.spec).is_file()):
        return span
    if Path(verdict.spec).is_file():
        return Source(verdict.spec, 1, 1, 0, 0, "")
    return None


def own(file: str) -> bool:
    """Whether a file is below the current directory or has a relative path, and is not in site-packages."""
    return not os.path.isabs(file) or (near_here(file) != file and "site-packages" not in file)


def finding_text(diagnostic: Diagnostic) -> str:
    """The message, the notes and the help, one a line."""
    return "\n".join((diagnostic.message, *diagnostic.notes, *(f"help: {one}" for one in diagnostic.help)))


def summary_line(verdicts: Sequence[Verdict]) -> str:
    """2 configs · 1 error · 1 warning"""
    counts = {severity: sum(verdict.count(severity) for verdict in verdicts) for severity in STYLES}
    found = [f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items() if count]
    well = [] if counts["error"] or counts["warning"] else ["all well"]
    return " · ".join([f"{len(verdicts)} config{'s' * (len(verdicts) != 1)}", *well, *found])
