"""What `check` found, in each of its formats: for a person, an editor, a program, GitHub, a code scanner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import IO

from vit_trace.check.verdict import Verdict

Writer = Callable[[Sequence[Verdict], IO[str]], None]


def writer(format: str) -> Writer:
    """The writer of a format; each imports what it needs."""
    if format == "concise":
        from vit_trace.render.findings.concise import write_concise

        return write_concise
    if format == "json":
        from vit_trace.render.findings.document import write_json

        return write_json
    if format == "github":
        from vit_trace.render.findings.github import write_github

        return write_github
    if format == "sarif":
        from vit_trace.render.findings.sarif import write_sarif

        return write_sarif
    from vit_trace.render.findings.screen import write_screen

    return write_screen
