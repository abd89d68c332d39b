"""Writes a result to stdout and to files, each in its format."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from vit_trace.base.refused import known, refuse
from vit_trace.cli.files import atomic, require_place
from vit_trace.render.formats import DEFAULT, Format, Subject, format_names, formats_by_suffix, load_format

if TYPE_CHECKING:
    from vit_trace.cli.options import Output


class Destination(NamedTuple):
    """A file to write, or stdout where there is no path, and how."""

    format: Format
    path: Path | None = None


def destinations(subject: Subject, output: Output, view: str = "") -> list[Destination]:
    """Where a subject is to be written: files first, so that what cannot be written is refused before any output.

    Raises Refused where a file's suffix names no format, it cannot be made, or its format cannot show the view.
    """
    names: list[tuple[str, Path | None]] = []
    suffixes = formats_by_suffix(subject) if output.files else {}
    for path in output.files:
        name = suffixes.get(path.suffix.lower())
        if name is None:
            help = (f"end it in {' or '.join(suffixes)}",)
            raise refuse("unknown-suffix", f"-o {path}: its ending does not name a format", help=help)
        names.append((name, path))
    if output.format:
        known("--format", output.format, format_names(subject))
    if output.format or not names:
        names.append((output.format or DEFAULT, None))
    found = []
    for name, file in names:
        format = load_format(subject, name)
        if format.view not in ("", view):
            help = (f"--view {format.view} --format {name}",)
            raise refuse("no-such-format", f"--view {view} has no {name}", help=help)
        if file is not None:
            require_place(file)
        found.append(Destination(format, file))
    return found


def write(content: Any, where: Sequence[Destination]) -> None:
    """Write a subject everywhere it is wanted; say on stderr which files were written. Raises Refused."""
    for format, path in where:
        if path is None:
            write_to(sys.stdout, format, content)
            continue
        with atomic(path) as stream:
            format.write(content, stream)
        print(f"wrote {path}", file=sys.stderr)


def write_to(stream: IO[str], format: Format, content: Any) -> None:
    """Write a subject to a stream of the caller's, in the format's own encoding whatever the terminal's is."""
    if format.encoding and isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=format.encoding)
    format.write(content, stream)
