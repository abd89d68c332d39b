"""Writing what `check` found: which format goes where, and the exit code that it means. No torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vit_trace.base.refused import known
from vit_trace.check.verdict import Verdict
from vit_trace.cli.output import atomic, require_suffixes

if TYPE_CHECKING:
    from vit_trace.check.options import Check

FORMATS = ("rich", "concise", "json", "github", "sarif")
SUFFIXES = {".json": "json", ".sarif": "sarif", ".txt": "rich"}


def require_formats(asked: Check) -> None:
    """Refuse an output that cannot be written, before anything is checked. Raises Refused."""
    if asked.format:
        known("--format", asked.format, FORMATS)
    require_suffixes(asked.output, SUFFIXES)


def write(verdicts: Sequence[Verdict], asked: Check) -> Iterator[Path]:
    """Write the verdicts to stdout or to the files; yields each file once it is whole."""
    from vit_trace.render.findings import writer

    if asked.format or not asked.output:
        writer(asked.format or "rich")(verdicts, sys.stdout)
    for path in asked.output:
        with atomic(path) as stream:
            writer(SUFFIXES[path.suffix.lower()])(verdicts, stream)
        yield path


def exit_code(verdicts: Sequence[Verdict], strict: bool) -> int:
    """3 for a defect of ours, 2 where a spec could not be used at all, 1 for an error (a warning if strict), else 0."""
    if any(one.code == "internal-defect" for verdict in verdicts for one in verdict.diagnostics):
        return 3
    if not all(verdict.started for verdict in verdicts):
        return 2
    grave = ("error", "warning") if strict else ("error",)
    return int(any(one.severity in grave for verdict in verdicts for one in verdict.diagnostics))
