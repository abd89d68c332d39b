"""Shows what `check` found on a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from vit_trace.check.verdict import Verdict
from vit_trace.render.formats import Format


def write_check_screen(verdicts: Sequence[Verdict], stream: IO[str]) -> None:
    from vit_trace.render.console import console_for
    from vit_trace.render.findings.screen import print_verdicts

    print_verdicts(verdicts, console_for(stream))


FORMAT = Format(write_check_screen, suffixes=(".txt",), encoding="")
