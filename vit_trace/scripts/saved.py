"""Keeps a report in a file, as JSON, text or HTML: Python's traceback, the diagnosis, the trace up to the failure."""

from __future__ import annotations

import io
import os
import traceback as tracebacks
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import IO

from msgspec import Struct, json

from vit_trace.base.trace import Diagnostic, Trace
from vit_trace.render.formats import write_json
from vit_trace.render.legible import HANDLER
from vit_trace.scripts.ranks import folder_of_children

SCHEMA = "vit-trace-crash/1"


class CrashReport(Struct, frozen=True):
    """The document: what Python said, what was found, the trace of the failing forward where there is one."""

    schema: str
    exception: str
    traceback: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]
    trace: Trace | None = None


def save(error: BaseException, diagnostics: Sequence[Diagnostic], trace: Trace | None, files: Sequence[str]) -> None:
    """Write the report into each file, in the format of its suffix. Raises OSError."""
    account = "".join(tracebacks.format_exception(error))
    for file in files:
        stream = io.StringIO()
        if file.lower().endswith(".json"):
            lines = tuple(account.splitlines())
            write_json(CrashReport(SCHEMA, type(error).__name__, lines, tuple(diagnostics), trace), stream)
        else:
            text = account + told(diagnostics, trace)
            page = f"<!doctype html>\n<meta charset=utf-8>\n<title>vit-trace</title>\n<pre>{escape(text)}</pre>\n"
            stream.write(page if file.lower().endswith(".html") else text)
        Path(file).write_text(stream.getvalue(), encoding="utf-8", errors=HANDLER)


def told(diagnostics: Sequence[Diagnostic], trace: Trace | None) -> str:
    """The diagnosis, then the table of the stages up to the failure, if there is a trace."""
    from vit_trace.render.formats.trace.standard import FORMATS
    from vit_trace.view.screen import Screen, Viewed

    stream = io.StringIO()
    write_found(diagnostics, stream)
    if trace is not None and len(trace.stages) > 1:
        stream.write("\n")
        FORMATS["rich"].write(Viewed(trace, Screen()), stream)
    return stream.getvalue()


def write_found(diagnostics: Sequence[Diagnostic], stream: IO[str]) -> None:
    """The diagnostics as a person reads them."""
    from vit_trace.render.console import console_for
    from vit_trace.render.diagnostics import print_diagnostic

    console = console_for(stream)
    for one in diagnostics:
        stream.write("\n")
        print_diagnostic(console, one)
    stream.flush()


def left_by_child(error: BaseException) -> CrashReport | None:
    """What the process whose end the exception reports left for this one, its parent."""
    file = folder_of_children(os.getpid()) / f"{getattr(error, 'error_pid', None)}.json"
    return json.decode(file.read_bytes(), type=CrashReport) if file.is_file() else None
