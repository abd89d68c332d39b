"""Writes SARIF 2.1.0 (OASIS, https://docs.oasis-open.org/sarif/sarif/v2.1.0/), which code scanners read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from vit_trace.base.trace import Diagnostic, Source
from vit_trace.render.formats import Format, write_json
from vit_trace.render.legible import visible_json
from vit_trace.render.places import finding_place, finding_text, near_here
from vit_trace.version import __version__

if TYPE_CHECKING:
    from vit_trace.check.verdict import Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def _write_sarif(verdicts: Sequence[Verdict], stream: IO[str]) -> None:
    codes = list(dict.fromkeys(one.code for verdict in verdicts for one in verdict.diagnostics))
    results = [result(verdict, one, codes) for verdict in verdicts for one in verdict.diagnostics]
    driver = {"name": "vit-trace", "semanticVersion": __version__, "rules": [_rule_of(code) for code in codes]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    write_json({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, stream)


def _rule_of(code: str) -> dict[str, Any]:
    """A rule: its code and its meaning, as `vit-trace explain` shows it."""
    import vit_trace.render.codes  # noqa: F401  # registers every code
    from vit_trace.codes.registry import MEANINGS

    text = MEANINGS.get(code)
    if text is None:
        return {"id": code}
    first = text.split(". ")[0].replace("\n", " ").rstrip(".") + "."
    return {"id": code, "shortDescription": {"text": first}, "fullDescription": {"text": text.replace("\n", " ")}}


def result(verdict: Verdict, diagnostic: Diagnostic, codes: list[str]) -> dict[str, Any]:
    found = finding_place(verdict, diagnostic)
    return {
        "ruleId": diagnostic.code,
        "ruleIndex": codes.index(diagnostic.code),
        "level": diagnostic.severity,
        "message": {"text": finding_text(diagnostic)},
        "locations": [{"physicalLocation": _physical(found)}] if found is not None else [],
        "properties": {"spec": verdict.spec},
    }


def _physical(span: Source) -> dict[str, Any]:
    file = near_here(span.file)
    uri = Path(file).as_uri() if os.path.isabs(file) else quote(os.fsencode(file))
    region: dict[str, int] = {"startLine": span.line, "endLine": span.end_line}
    if span.end_column:
        region |= {"startColumn": span.column + 1, "endColumn": span.end_column + 1}
    return {"artifactLocation": {"uri": uri}, "region": region}


FORMATS = {"sarif": Format(_write_sarif, suffixes=(".sarif",), escape=visible_json)}
