"""Writes a trace for documents and spreadsheets: Markdown, LaTeX, CSV."""

from typing import IO

from vit_trace.render.formats import Format
from vit_trace.view.screen import Viewed


def _write_trace_markdown(shown: Viewed, stream: IO[str]) -> None:
    """The table as GitHub shows it; the listing, or the tree, as a fenced block."""
    from vit_trace.render.markdown import listing_page, table_page, tree_page
    from vit_trace.view.narrow import narrowed_listing, require_stage

    trace, screen = shown.trace, shown.screen
    require_stage(trace, screen.stage)
    if screen.view == "source":
        stream.write(listing_page(trace, narrowed_listing(trace, screen.stage), screen.ran))
    else:
        stream.write((tree_page if screen.view == "tree" else table_page)(trace, screen))


def _write_trace_latex(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.latex import latex_table
    from vit_trace.view.narrow import require_stage

    require_stage(shown.trace, shown.screen.stage)
    stream.write(latex_table(shown.trace, shown.screen))


def _write_trace_csv(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.spreadsheet import write_csv
    from vit_trace.view.narrow import require_stage

    require_stage(shown.trace, shown.screen.stage)
    write_csv(shown.trace, shown.screen, stream)


FORMATS = {
    "markdown": Format(_write_trace_markdown, suffixes=(".md",)),
    "tex": Format(_write_trace_latex, suffixes=(".tex",), view="table"),
    "csv": Format(_write_trace_csv, suffixes=(".csv",), view="table"),
}
