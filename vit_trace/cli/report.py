"""Prints diagnostics to stderr, and says what an exit code means."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vit_trace.base.trace import Diagnostic


class Exit(IntEnum):
    """All is well; it ran and found something; it could not start; vit-trace itself failed."""

    WELL = 0
    FOUND = 1
    CANNOT_START = 2
    DEFECT = 3


def print_diagnostics(diagnostics: Sequence[Diagnostic]) -> None:
    """Print diagnostics to stderr."""
    if not diagnostics:
        return
    from vit_trace.render.console import console_for
    from vit_trace.render.diagnostics import print_diagnostic

    sys.stdout.flush()
    console = console_for(sys.stderr)
    for diagnostic in diagnostics:
        print_diagnostic(console, diagnostic)
