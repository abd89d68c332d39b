"""Writes a trace to look at or to draw elsewhere: a page, a picture, and graphs for other tools."""

from typing import IO

from vit_trace.render.formats import Format, write_json
from vit_trace.render.legible import visible_json
from vit_trace.view.screen import Viewed


def _write_trace_html(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.page.page import page_of
    from vit_trace.view.narrow import require_stage

    require_stage(shown.trace, shown.screen.stage)
    stream.write(page_of(shown.trace, shown.screen))


def _write_trace_svg(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.page.page import svg_of
    from vit_trace.view.narrow import require_stage

    require_stage(shown.trace, shown.screen.stage)
    stream.write(svg_of(shown.trace, shown.screen))


def _write_trace_mermaid(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.graphs import mermaid
    from vit_trace.view.flow import flow_of
    from vit_trace.view.narrow import require_stage

    require_stage(shown.trace, shown.screen.stage)
    stream.write(mermaid(flow_of(shown.trace, shown.screen.stage)))


def _write_trace_dot(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.graphs import dot
    from vit_trace.view.flow import flow_of
    from vit_trace.view.narrow import require_stage

    require_stage(shown.trace, shown.screen.stage)
    stream.write(dot(flow_of(shown.trace, shown.screen.stage)))


def _write_trace_explorer(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.graphs import model_explorer

    write_json(model_explorer(shown.trace), stream)


FORMATS = {
    "html": Format(_write_trace_html, (".html", ".htm")),
    "svg": Format(_write_trace_svg, (".svg",)),
    "mermaid": Format(_write_trace_mermaid, (".mmd", ".mermaid")),
    "dot": Format(_write_trace_dot, (".dot", ".gv")),
    "model-explorer": Format(_write_trace_explorer, escape=visible_json),
}
