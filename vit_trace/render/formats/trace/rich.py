"""Shows a trace on a screen: as a table, a tree, or beside the model's source."""

from __future__ import annotations

from typing import IO

from vit_trace.render.formats import Format
from vit_trace.view.screen import Viewed


def write_trace_screen(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.console import console_for
    from vit_trace.view.narrow import narrowed_listing, require_stage

    trace, screen = shown
    require_stage(trace, screen.stage)
    console = console_for(stream)
    if screen.view == "source":
        from vit_trace.render.source import print_source

        print_source(narrowed_listing(trace, screen.stage), console, screen.ran)
        return
    from vit_trace.view.outline import outline

    rows = outline(trace, screen.stage, screen.levels, screen.fold)
    if screen.view == "tree":
        from vit_trace.render.tree import print_tree

        print_tree(rows, console)
        return
    from vit_trace.render.table import print_table

    print_table(rows, console)


FORMAT = Format(write_trace_screen, suffixes=(".txt",), encoding="")
