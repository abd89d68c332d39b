"""Writes a trace to look at or to draw elsewhere: a page, a picture, and graphs for other tools."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from vit_trace.base.trace import Trace
from vit_trace.render.formats import Format, write_json
from vit_trace.render.legible import visible_json
from vit_trace.view.screen import Screen, Viewed

if TYPE_CHECKING:
    from vit_trace.view.flow import Flow


def _write_trace_html(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.page.page import page_of

    stream.write(page_of(*_checked(shown)))


def _write_trace_svg(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.page.page import svg_of

    stream.write(svg_of(*_checked(shown)))


def _write_trace_mermaid(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.graphs import mermaid

    stream.write(mermaid(_flow(shown)))


def _write_trace_dot(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.graphs import dot

    stream.write(dot(_flow(shown)))


def _checked(shown: Viewed) -> tuple[Trace, Screen]:
    """The trace and its screen. Raises Refused where no stage is of that name."""
    from vit_trace.view.narrow import require_stage

    require_stage(shown.trace, shown.screen.stage)
    return shown.trace, shown.screen


def _flow(shown: Viewed) -> Flow:
    from vit_trace.view.flow import flow_of

    trace, screen = _checked(shown)
    return flow_of(trace, screen.stage)


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
