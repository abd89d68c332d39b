"""Writes a result to stdout and to files, a file all at once or not at all, and diagnostics to stderr."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from vit_trace.base.refused import refuse, require_known
from vit_trace.cli.paging import paged
from vit_trace.render.formats import DEFAULT, Format, Subject, formats_of
from vit_trace.render.legible import CHOSEN, HANDLER, visible

if TYPE_CHECKING:
    from vit_trace.base.trace import Diagnostic
    from vit_trace.cli.options import Output


UNFINISHED: set[str] = set()
"""Paths of files that are being written under a temporary name; `__main__` removes them when a signal comes."""


class Exit(IntEnum):
    """All is well; it ran and found something; it could not start; vit-trace itself failed."""

    WELL = 0
    FOUND = 1
    CANNOT_START = 2
    DEFECT = 3


class Destination(NamedTuple):
    """A file to write, or stdout where there is no path, and how; `path` is absolute: a model may change directory."""

    format: Format
    path: Path | None = None
    typed: Path | None = None
    pager: bool = False


def destinations(subject: Subject, output: Output, view: str = "") -> list[Destination]:
    """Where to write a subject, files first. Raises Refused for what cannot be written, before any output."""
    from vit_trace.config.files import shown_file  # with the parser of YAML, which the help does not need

    formats = formats_of(subject)
    suffixes = {suffix: name for name, format in formats.items() for suffix in format.suffixes}
    wanted: list[tuple[str, Path | None]] = []
    for path in output.files:
        ends = [suffix for suffix in suffixes if path.name.lower().endswith(suffix)]
        if not ends:
            help = (f"end it in {' or '.join(suffixes)}",)
            raise refuse("unknown-suffix", f"-o {shown_file(path)}: its ending does not name a format", help=help)
        wanted.append((suffixes[max(ends, key=len)], path))
    if output.format:
        require_known("--format", output.format, tuple(formats))
    if output.format or not wanted:
        wanted.append((output.format or DEFAULT, None))
    for name, file in wanted:
        if formats[name].view not in ("", view):
            help = (f"--view {formats[name].view} --format {name}",)
            raise refuse("no-such-format", f"--view {view} has no {name}", help=help)
        if file is not None and (os.path.isdir(file) or not os.path.isdir(file.parent)):
            reason = "is a directory" if os.path.isdir(file) else f"there is no directory {shown_file(file.parent)}"
            raise refuse("cannot-write", f"-o {shown_file(file)}: {reason}")
    CHOSEN["color"] = output.color or "auto"
    real = ((name, file and Path(os.path.realpath(file)), file) for name, file in wanted)
    return [Destination(formats[name], path, file, output.pager) for name, path, file in real]


def write(content: Any, where: Sequence[Destination], said: Sequence[Diagnostic] = ()) -> None:
    """Write a subject everywhere it is wanted; say on stderr which files were written. Raises Refused.

    A screen that goes to a file holds what is `said` on stderr too.
    """
    for format, path, typed, pager in where:
        if path is not None:
            with atomic(path) as stream:
                format.write(content, stream)
                _add_diagnostics(stream, said if format.escape is None else ())
            say(f"wrote {typed}")
            continue
        if format.encoding and isinstance(sys.stdout, io.TextIOWrapper):  # the format's own, whatever the terminal's is
            sys.stdout.reconfigure(encoding=format.encoding)
        with _read_no_further(), paged(pager and format.escape is None) as stream:
            format.write(content, stream)
        _add_diagnostics(sys.stdout, said if format.escape is None and _is_file_of_its_own() else ())


@contextmanager
def _read_no_further() -> Iterator[None]:
    """Goes on where whoever reads our output has closed it (`| head -1`): the exit code says what was found."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        return
    except SystemExit as leaving:  # rich leaves with 1 then
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise


def stdout_is_file() -> bool:
    """Whether stdout is a regular file."""
    with suppress(OSError, ValueError, AttributeError):
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    return False


def _is_file_of_its_own() -> bool:
    """Whether stdout is a regular file and stderr is not the same one."""
    with suppress(OSError, ValueError, AttributeError):
        out, err = os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno())
        return stdout_is_file() and (out.st_dev, out.st_ino) != (err.st_dev, err.st_ino)
    return False


def _add_diagnostics(stream: IO[str], diagnostics: Sequence[Diagnostic]) -> None:
    if not diagnostics:
        return
    from vit_trace.render.console import console_for
    from vit_trace.render.diagnostics import print_diagnostic

    stream.write("\n")
    for diagnostic in diagnostics:
        print_diagnostic(console_for(stream), diagnostic)


def say(text: str) -> None:
    """Print a plain text to stderr, control characters made visible."""
    print(visible(text), file=sys.stderr)


def print_diagnostics(diagnostics: Sequence[Diagnostic]) -> None:
    if not diagnostics:
        return
    from vit_trace.render.console import console_for
    from vit_trace.render.diagnostics import print_diagnostic

    sys.stdout.flush()
    console = console_for(sys.stderr)
    for diagnostic in diagnostics:
        print_diagnostic(console, diagnostic)


@contextmanager
def atomic(path: Path) -> Iterator[IO[str]]:
    """A stream that becomes the file once all is written; a device or pipe is written directly. Raises Refused."""
    try:
        mode = _mode_of(path)
        if not stat.S_ISREG(mode):
            with open(path, "w", encoding="utf-8", errors=HANDLER, opener=_without_waiting) as device:
                os.set_blocking(device.fileno(), True)
                yield device
            return
        name = str(path.parent / f".vit-trace-{os.urandom(8).hex()}")
        UNFINISHED.add(name)  # before it is there: a signal may come at any time
        try:
            with open(name, "x", encoding="utf-8", errors=HANDLER, opener=_of_the_owner) as stream:
                yield stream
            os.chmod(name, stat.S_IMODE(mode))
            os.replace(name, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        finally:
            UNFINISHED.discard(name)
    except OSError as error:
        from vit_trace.config.files import shown_file

        reason = "nobody reads this pipe" if error.errno == errno.ENXIO else error.strerror or str(error)
        raise refuse("cannot-write", f"-o {shown_file(path)}: {reason}") from None


def _mode_of(path: Path) -> int:
    """The kind and the permissions of the file there; for a new file, those of a regular one."""
    if os.path.exists(path):
        return os.stat(path).st_mode
    mask = os.umask(0)
    os.umask(mask)
    return stat.S_IFREG | (0o666 & ~mask)


def _of_the_owner(path: str, flags: int) -> int:
    """A file that nobody else may read until it is complete."""
    return os.open(path, flags, 0o600)


def _without_waiting(path: str, flags: int) -> int:
    """A pipe that nobody reads is an error, not a wait."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)
