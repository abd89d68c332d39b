"""Finds the place where a finding is shown: in the user's own files."""

from __future__ import annotations

import os
from pathlib import Path

from vit_trace.base.trace import Diagnostic, Source
from vit_trace.check.verdict import Summary, Verdict
from vit_trace.render.diagnostics import COMMAND_LINE, near_here


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


def summary_line(summary: Summary) -> str:
    """2 configs · 1 error · 1 warning"""
    counts = ((summary.errors, "error"), (summary.warnings, "warning"), (summary.notes, "note"))
    found = [f"{count} {word}{'s' * (count != 1)}" for count, word in counts if count]
    well = [] if summary.errors or summary.warnings else ["all well"]
    return " · ".join([f"{summary.configs} config{'s' * (summary.configs != 1)}", *well, *found])
