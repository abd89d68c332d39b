"""Writes the model's source with its shapes as a Markdown page."""

from __future__ import annotations

from typing import IO

from vit_trace.render.formats import Format
from vit_trace.view.screen import Viewed


def write_trace_markdown(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.commented import markdown_page
    from vit_trace.view.narrow import narrowed_listing, require_stage

    trace, screen = shown
    require_stage(trace, screen.stage)
    stream.write(markdown_page(trace, narrowed_listing(trace, screen.stage), screen.ran))


FORMAT = Format(write_trace_markdown, suffixes=(".md",), view="source", needs_source=True)
