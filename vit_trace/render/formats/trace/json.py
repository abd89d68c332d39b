"""Writes a whole trace as JSON (`vit-trace/1`), which `vit-trace show` reads back."""

from __future__ import annotations

from typing import IO

from vit_trace.render.formats import Format
from vit_trace.view.screen import Viewed


def write_trace_json(shown: Viewed, stream: IO[str]) -> None:
    for chunk in shown.trace.json_chunks():
        stream.write(chunk.decode())


FORMAT = Format(write_trace_json, suffixes=(".json",))
