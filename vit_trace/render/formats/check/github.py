"""Writes GitHub's workflow commands: each finding becomes an annotation beside its line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from vit_trace.base.trace import Diagnostic
from vit_trace.render.formats import Format
from vit_trace.render.places import finding_place, finding_text, near_here, summary_line

if TYPE_CHECKING:
    from vit_trace.check.verdict import Verdict

COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def _write_github(verdicts: Sequence[Verdict], stream: IO[str]) -> None:
    for verdict in verdicts:
        for diagnostic in verdict.diagnostics:
            stream.write(_annotation(verdict, diagnostic) + "\n")
    stream.write(summary_line(verdicts) + "\n")


def _annotation(verdict: Verdict, diagnostic: Diagnostic) -> str:
    """::error file=…,line=…,col=…,endLine=…,endColumn=…,title=…::message"""
    found = finding_place(verdict, diagnostic)
    properties: dict[str, object] = {}
    if found is not None:
        properties = {"file": near_here(found.file), "line": found.line, "endLine": found.end_line}
        if found.end_column:
            properties |= {"col": found.column + 1, "endColumn": found.end_column}
    properties["title"] = diagnostic.code if found is not None else f"{verdict.spec}: {diagnostic.code}"
    listed = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
    return f"::{COMMANDS[diagnostic.severity]} {listed}::{_escaped(finding_text(diagnostic))}"


def _escaped(text: str, more: str = "") -> str:
    """The text with characters that would end a command or property percent-encoded: %0A."""
    for sign in "%\r\n" + more:
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text


FORMATS = {"github": Format(_write_github, for_people=True)}
