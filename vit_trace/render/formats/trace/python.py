"""Writes the model's own file as Python, with the shapes as comments."""

from __future__ import annotations

from typing import IO

from vit_trace.render.formats import Format
from vit_trace.view.screen import Viewed


def write_trace_python(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.base.refused import refuse
    from vit_trace.render.commented import FileChanged, python_file

    try:
        stream.write(python_file(shown.trace))
    except FileChanged as error:
        raise refuse("no-source", f"no Python file can be written: {error}") from None


FORMAT = Format(write_trace_python, suffixes=(".py",), needs_source=True)
