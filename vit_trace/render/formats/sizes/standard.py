"""Writes the rules that `sizes` found: on a screen, or as JSON (schema: vit_trace/sizes_schema.json)."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from vit_trace.render.formats import Format, write_json
from vit_trace.render.legible import visible_json

if TYPE_CHECKING:
    from vit_trace.check.sizes.report import SizesReport


def _write_sizes_screen(report: SizesReport, stream: IO[str]) -> None:
    from vit_trace.render.console import console_for
    from vit_trace.render.sizes import print_sizes

    print_sizes(report, console_for(stream))


FORMATS = {
    "rich": Format(_write_sizes_screen, escape=None, encoding=""),
    "json": Format(write_json, (".json",), escape=visible_json),
}
