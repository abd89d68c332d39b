"""Writes each finding on one line, as editors and grep read it: file:line:column: severity[code]: message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from vit_trace.check.verdict import Verdict, summary
from vit_trace.render.diagnostics import COMMAND_LINE, concise
from vit_trace.render.findings.places import summary_line
from vit_trace.render.formats import Format


def write_concise(verdicts: Sequence[Verdict], stream: IO[str]) -> None:
    for verdict in verdicts:
        for diagnostic in verdict.diagnostics:
            line = concise(diagnostic)
            span = diagnostic.span
            stream.write(line if span and span.file != COMMAND_LINE else f"{verdict.spec}: {line}")
            stream.write("\n")
        for suggestion in verdict.suggestions:
            values = ", ".join(one.value for one in suggestion.values if not one.warnings)
            stream.write(f"{verdict.spec}: {suggestion.name} works as {values or 'none of the values near'}\n")
    stream.write(summary_line(summary(verdicts)) + "\n")


FORMAT = Format(write_concise, encoding="")
