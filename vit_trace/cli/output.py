"""Reading and writing traces for the command line: which view in which format goes where. No torch."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vit_trace.base.refused import known, refuse
from vit_trace.base.trace import Stage, Trace, TraceFormatError

if TYPE_CHECKING:
    from vit_trace.cli.flags import Screen

VIEWS = ("table", "tree", "source")
FORMATS = ("rich", "json", "markdown", "python")
SUFFIXES = {".json": "json", ".txt": "rich", ".md": "markdown", ".py": "python"}


UNFINISHED: set[str] = set()
"""Files that are being written under a temporary name; an interrupt removes them."""


def require_writable(screen: Screen) -> None:
    """Refuse an output that cannot be written, before anything is traced. Raises Refused."""
    known("--view", screen.view, VIEWS)
    if screen.format is not None:
        known("--format", screen.format, FORMATS)
    if "markdown" in (screen.format, *(SUFFIXES.get(path.suffix.lower()) for path in screen.output)):
        known_with("markdown", screen.view)
    require_suffixes(screen.output, SUFFIXES)


def require_suffixes(paths: Sequence[Path], suffixes: Mapping[str, str]) -> None:
    """Refuse files whose ending names no format, or that cannot be made where they are to be. Raises Refused."""
    for path in paths:
        if path.suffix.lower() not in suffixes:
            help = (f"end it in {' or '.join(suffixes)}",)
            raise refuse("unknown-suffix", f"-o {path}: its ending does not name a format", help=help)
        if os.path.isdir(path) or not os.path.isdir(path.parent):
            what = "is a directory" if os.path.isdir(path) else f"there is no directory {path.parent}"
            raise refuse("cannot-write", f"-o {path}: {what}")


def known_with(format: str, view: str) -> None:
    if view != "source":
        raise refuse("no-such-format", f"--view {view} has no {format}", help=(f"--view source --format {format}",))


def require_listing(trace: Trace, path: Path) -> None:
    """Refuse to show the source of a trace that was saved without it. Raises Refused."""
    if not trace.listing:
        help = ("save it with: vit-trace --view source -o trace.json",)
        raise refuse("no-listing", f"{path} was saved without the model's source", help=help)


def read(path: Path) -> Trace:
    """A saved trace; "-" is standard input. Raises Refused."""
    try:
        text = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise refuse("unreadable-trace", f"{path}: {error.strerror or error}") from None
    try:
        return Trace.from_json(text)
    except TraceFormatError as error:
        advice = ("save one with: vit-trace --format json > trace.json",)
        raise refuse("not-a-trace", f"{path} is not a saved trace", notes=(str(error),), help=advice) from None


def reevaluated(trace: Trace, assignments: Sequence[str]) -> Trace:
    """The trace at other values, given as NAME=VALUE. Raises Refused."""
    from vit_trace.dims.values import ValuesError, at, changes_of

    pairs = [assignment.partition("=") for assignment in assignments]
    try:
        return at(trace, changes_of(trace, {name: value for name, _, value in pairs}))
    except ValuesError as error:
        raise refuse("cannot-evaluate", f"--with {error}", help=(error.help,) if error.help else ()) from None


def explanation(trace: Trace, subject: str) -> tuple[Trace, int | list[Stage]]:
    """What `explain` is asked about: a size that stands in the trace, or stages of a name. Raises Refused."""
    from vit_trace.dims.explain import sizes, stages_named

    if subject.isdigit():
        known = sizes(trace)
        if int(subject) in known:
            return trace, int(subject)
        near = sorted(known, key=lambda size: abs(size - int(subject)))[:3]
        raise refuse("no-such-size", f"no size is {subject}", help=(f"sizes near it: {', '.join(map(str, near))}",))
    stages = stages_named(trace, subject)
    if not stages:
        names = [stage.name for stage in trace.stages]
        near_names = get_close_matches(subject, names, 3, 0.4)
        help = (f"did you mean {', '.join(near_names)}?",) if near_names else ()
        raise refuse("no-such-stage", f"no stage is named {subject}", help=help)
    return trace, stages


def write(trace: Trace, screen: Screen) -> Iterator[Path]:
    """Write the trace to stdout or to the files; yields each file once it is whole."""
    if screen.format is not None or not screen.output:
        render(trace, screen, screen.format or "rich", sys.stdout)
    for path in screen.output:
        with atomic(path) as stream:
            render(trace, screen, SUFFIXES[path.suffix.lower()], stream)
        yield path


def render(trace: Trace, screen: Screen, format: str, stream: IO[str]) -> None:
    """One rendering of the trace into a text stream."""
    if screen.stage is not None and format not in ("json", "python"):
        require_stage(trace, screen.stage)
    if format != "rich" and isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8")  # a file, whatever the terminal can show
    if format == "json":
        for chunk in trace.json_chunks():
            stream.write(chunk.decode())
        return
    if format in ("markdown", "python") or screen.view == "source":
        render_source(trace, screen, format, stream)
        return
    from vit_trace.render.console import console_for
    from vit_trace.view.outline import outline

    printer = printer_of(screen.view)
    console = console_for(stream)
    printer(outline(trace, screen.stage, screen.levels, screen.fold), console)


def render_source(trace: Trace, screen: Screen, format: str, stream: IO[str]) -> None:
    """The model's own code, as a screen, a Markdown page or a Python file. Raises Refused."""
    from vit_trace.render.commented import FileChanged, markdown, python
    from vit_trace.render.console import console_for
    from vit_trace.render.source import print_source
    from vit_trace.view.narrow import narrowed

    if format == "python":
        try:
            stream.write(python(trace))
        except FileChanged as error:
            raise refuse("no-source", f"no Python file can be written: {error}") from None
        return
    listing = narrowed(trace, screen.stage)
    if format == "markdown":
        stream.write(markdown(trace, listing, screen.ran))
    else:
        print_source(trace, listing, console_for(stream), screen.ran)


def require_stage(trace: Trace, pattern: str) -> None:
    """Refuse a glob that fits no stage. Raises Refused."""
    from fnmatch import fnmatchcase

    names = [stage.name for stage in trace.stages]
    known_words = [*names, *(stage.operation for stage in trace.stages)]
    fits = any(fnmatchcase(word, glob) for glob in (pattern, f"*.{pattern}") for word in known_words)
    if not pattern or not fits:
        near = get_close_matches(pattern or "*", [*names, *(name.rpartition(".")[2] for name in names)], 3, 0.5)
        help = (f"did you mean {', '.join(dict.fromkeys(near))}?",) if near else ("--stage '*norm*' fits names",)
        raise refuse("no-such-stage", f"--stage {pattern}: no stage has such a name", help=help)


def printer_of(view: str) -> Callable[..., None]:
    if view == "tree":
        from vit_trace.render.tree import print_tree

        return print_tree
    from vit_trace.render.table import print_table

    return print_table


@contextmanager
def atomic(path: Path) -> Iterator[IO[str]]:
    """A stream that becomes the file only when all is written; a device or pipe is written as it is. Raises Refused."""
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as device:
                yield device
            return
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.resolve().parent, prefix=f".{path.name}.", delete=False
        ) as stream:
            UNFINISHED.add(stream.name)
            try:
                yield stream
            except BaseException:
                os.unlink(stream.name)
                raise
            finally:
                UNFINISHED.discard(stream.name)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(stream.name, 0o666 & ~mask)
        os.replace(stream.name, path.resolve())
    except OSError as error:
        raise refuse("cannot-write", f"-o {path}: {error.strerror or error}") from None
