"""Keeps a report in a file, as JSON, text or HTML: Python's traceback, the diagnosis, the trace up to the failure."""

from __future__ import annotations

import io
import traceback as tracebacks
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import IO, TYPE_CHECKING

from msgspec import Struct

from vit_trace.base.trace import Diagnostic, Trace
from vit_trace.render.formats import write_json
from vit_trace.render.legible import HANDLER

if TYPE_CHECKING:
    from vit_trace.scripts.explain import Explanation

SCHEMA = "vit-trace-crash/1"


class CrashReport(Struct, frozen=True):
    """The document: what Python said, what was found, the trace of the failing forward where there is one."""

    schema: str
    exception: str
    traceback: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]
    trace: Trace | None = None


def save(error: BaseException, found: Explanation | None, files: Sequence[str]) -> None:
    """Write the report into each file, in the format of its suffix. Raises OSError."""
    account = "".join(tracebacks.format_exception(error))
    for file in files:
        stream = io.StringIO()
        if file.lower().endswith(".json"):
            diagnostics, trace = (found.diagnostics, found.trace) if found is not None else ((), None)
            write_json(
                CrashReport(SCHEMA, type(error).__name__, tuple(account.splitlines()), diagnostics, trace), stream
            )
        else:
            text = account + _told(found)
            page = f"<!doctype html>\n<meta charset=utf-8>\n<title>vit-trace</title>\n<pre>{escape(text)}</pre>\n"
            stream.write(page if file.lower().endswith(".html") else text)
        Path(file).write_text(stream.getvalue(), encoding="utf-8", errors=HANDLER)


def _told(found: Explanation | None) -> str:
    """The diagnosis, then the table of the stages up to the failure."""
    if found is None:
        return ""
    from vit_trace.render.formats.trace.standard import FORMATS
    from vit_trace.view.screen import Screen, Viewed

    stream = io.StringIO()
    write_found(found, stream)
    if found.trace is not None and len(found.trace.stages) > 1:
        stream.write("\n")
        FORMATS["rich"].write(Viewed(found.trace, Screen()), stream)
    return stream.getvalue()


def write_found(found: Explanation, stream: IO[str]) -> None:
    """The diagnostics as a person reads them."""
    from vit_trace.render.console import console_for
    from vit_trace.render.diagnostics import print_diagnostic

    console = console_for(stream)
    for one in found.diagnostics:
        stream.write("\n")
        print_diagnostic(console, one)
    stream.flush()
