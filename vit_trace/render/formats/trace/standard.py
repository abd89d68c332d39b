"""Writes a trace: on a screen, as JSON for `vit-trace show`, as the model's own Python file."""

from typing import IO

from vit_trace.render.formats import Format
from vit_trace.render.legible import visible_json
from vit_trace.view.screen import Viewed


def _write_trace_screen(shown: Viewed, stream: IO[str]) -> None:
    """A table, a tree, or the model's source with its shapes."""
    from vit_trace.render.console import console_for
    from vit_trace.view.narrow import narrowed_listing, require_stage

    trace, screen, beside = shown
    require_stage(trace, screen.stage)
    console = console_for(stream, screen.width)
    if beside:
        from vit_trace.render.beside import print_beside
        from vit_trace.view.beside import Labelled

        print_beside([Labelled(*one) for one in beside], screen, console)
        return
    if screen.view == "source":
        from vit_trace.render.source import print_source

        print_source(narrowed_listing(trace, screen.stage), console, screen.ran)
        return
    from vit_trace.render.table import print_table
    from vit_trace.render.tree import print_tree
    from vit_trace.view.ranked import viewed_rows

    (print_tree if screen.view == "tree" else print_table)(viewed_rows(trace, screen), screen, console)


def _write_trace_python(shown: Viewed, stream: IO[str]) -> None:
    from vit_trace.render.commented import python_file

    stream.write(python_file(shown.trace))


def _write_trace_json(shown: Viewed, stream: IO[str]) -> None:
    stream.writelines(map(bytes.decode, shown.trace.json_chunks()))


FORMATS = {
    "rich": Format(_write_trace_screen, suffixes=(".txt",), encoding="", escape=None),
    "json": Format(_write_trace_json, (".json",), escape=visible_json),
    "python": Format(_write_trace_python, suffixes=(".py",), needs_source=True),
}
