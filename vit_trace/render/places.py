"""Finds the place of a finding in the user's own files, and says paths and findings in text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vit_trace.base.trace import Diagnostic, Source

if TYPE_CHECKING:
    from vit_trace.check.verdict import Verdict


COMMAND_LINE = "command line"
"""The `file` of a span that points at what was typed; it has no line number."""


def near_here(file: str) -> str:
    """The path relative to the current directory, for a file below it."""
    try:
        here = os.path.join(os.getcwd(), "")
    except FileNotFoundError:  # it was removed
        return file
    return file[len(here) :] if file.startswith(here) else file


def shown_path(file: str) -> str:
    """The file relative to its package's folder: timm/layers/mlp.py; without a package, relative to the current one."""
    packages = package_of(file) if os.path.isabs(file) else []
    return os.path.join(*packages, os.path.basename(file)) if packages else near_here(file)


def package_of(file: str) -> list[str]:
    """Names of the packages around the file, the outermost first; [] for a single file."""
    parts: list[str] = []
    directory = os.path.dirname(os.path.abspath(file))
    while os.path.exists(os.path.join(directory, "__init__.py")):
        directory, name = os.path.split(directory)
        parts.insert(0, name)
    return parts


def finding_place(verdict: Verdict, diagnostic: Diagnostic) -> Source | None:
    """The span if it lies in a file of the user's; else the start of the config; None without a file."""
    span, has_file = diagnostic.span, os.path.isfile(verdict.spec)
    if span is not None and span.file != COMMAND_LINE:
        file = span.file
        if not has_file or not os.path.isabs(file) or (near_here(file) != file and "site-packages" not in file):
            return span
    return Source(verdict.spec, 1, 1, 0, 0, "") if has_file else None


def finding_text(diagnostic: Diagnostic) -> str:
    """The message, the notes and the help, one a line."""
    return "\n".join((diagnostic.message, *diagnostic.notes, *(f"help: {one}" for one in diagnostic.help)))


def summary_line(verdicts: Sequence[Verdict]) -> str:
    """2 configs · 1 error · 1 warning"""
    found, hidden = counts_of(verdicts), getattr(verdicts, "hidden", {})
    well = [] if found.keys() & {"error", "warning"} or hidden.get("warning") else ["all well"]
    more = [f"{count} {severity}{'s' * (count != 1)}" for severity, count in hidden.items()]
    more = [f"{', '.join(more)} not shown (-v shows all)"] if more else []
    return " · ".join([f"{len(verdicts)} config{'s' * (len(verdicts) != 1)}", *well, *found.values(), *more])


def counts_of(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Severity -> 2 errors, for those that were found."""
    severities = ("error", "warning", "note")
    counts = {severity: sum(verdict.count(severity) for verdict in verdicts) for severity in severities}
    return {severity: f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items() if count}
