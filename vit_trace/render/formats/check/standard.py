"""Writes what `check` found: on a screen, one finding a line, or as JSON (schema: vit_trace/check_schema.json)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from vit_trace.render.formats import Format, write_json
from vit_trace.render.legible import printable, visible_json

if TYPE_CHECKING:
    from vit_trace.check.verdict import Verdict


def _write_check_screen(verdicts: Sequence[Verdict], stream: IO[str]) -> None:
    from vit_trace.render.console import console_for
    from vit_trace.render.verdicts import print_verdicts

    print_verdicts(verdicts, console_for(stream))


def _write_check_json(verdicts: Sequence[Verdict], stream: IO[str]) -> None:
    from vit_trace.check.verdict import report

    write_json(report(verdicts), stream)


def _write_concise(verdicts: Sequence[Verdict], stream: IO[str]) -> None:
    """Each finding as editors and grep read it: file:line:column: severity[code]: message."""
    from vit_trace.render.diagnostics import concise
    from vit_trace.render.places import COMMAND_LINE, summary_line

    for verdict in verdicts:
        spec = printable(verdict.spec)
        for diagnostic in verdict.diagnostics:
            span = diagnostic.span
            lead = "" if span and span.file != COMMAND_LINE else f"{spec}: "
            stream.write(f"{lead}{concise(diagnostic)}\n")
        for suggestion in verdict.suggestions:
            values = ", ".join(one.value for one in suggestion.values if not one.warnings)
            stream.write(f"{spec}: {suggestion.name} works as {values or 'none of the values near'}\n")
    stream.write(summary_line(verdicts) + "\n")


FORMATS = {
    "rich": Format(_write_check_screen, suffixes=(".txt",), encoding="", escape=None, for_people=True),
    "json": Format(_write_check_json, suffixes=(".json",), escape=visible_json),
    "concise": Format(_write_concise, encoding="", for_people=True),
}
