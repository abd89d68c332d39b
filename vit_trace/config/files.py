"""Opens every file that a user names: a regular file up to a limit, or a refusal with what it is and what is near."""

import os
import re
import stat
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from vit_trace.config.words import cut, fail, line_span, split_lines

MAX_BYTES = 64 * 1024
"""Bytes of the largest YAML or TOML file that is read: a hundred times what thirteen keys and their comments take."""


MAX_JSON = 8 * 2**20
"""Bytes of the largest config.json or index of shards that is read."""

MAX_SOURCE = 8 * 2**20
"""Bytes of the largest Python file that is read to show its lines."""

PIECE = 2**20
"""Bytes read at a time, so that a file is held once."""


class FileProblem(Exception):
    """A file that is not read: `problem` is "missing", "kind", "large" or "unreadable"."""

    def __init__(self, problem: str, message: str, notes: tuple[str, ...] = (), help: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problem, self.message, self.notes, self.help = problem, message, notes, help


def open_regular(path: Path, what: str) -> BinaryIO:
    """A regular file to read; `what` says what it should be. Raises FileProblem.

    A pipe or a device is not opened: it might never end. Opening does not block, should the file become a pipe.
    """
    file = shown_file(path)
    try:
        if stat.S_ISREG(mode := path.stat().st_mode):
            stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115  # the caller closes it
            if stat.S_ISREG(mode := os.fstat(stream.fileno()).st_mode):
                return stream
            stream.close()
    except (FileNotFoundError, NotADirectoryError):
        raise FileProblem("missing", f"there is no file {file}", *nearest_files(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileProblem("unreadable", f"{file} cannot be read: {reason}") from None
    raise FileProblem("kind", f"{file} is {file_kind(mode)}, not {what}")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def read_regular(path: Path, what: str, limit: int) -> bytes:
    """The bytes of a regular file of at most `limit` bytes. Raises FileProblem."""
    with open_regular(path, what) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size <= limit:
            try:
                raw = read_at_most(stream, limit)
            except OSError as error:
                raise FileProblem("unreadable", f"{shown_file(path)} cannot be read: {error.strerror}") from None
            size = max(size, len(raw))
    if size > limit:
        message = f"{shown_file(path)} is too large for {what}: {size:,} bytes"
        raise FileProblem("large", message, (too_large_note(what, limit),))
    return raw


def may_show(file: str) -> bool:
    """Whether Python's readers of source lines may open a file: a regular one that is not too large, or none at all."""
    try:
        found = os.stat(file)
    except OSError:  # a notebook's cell has no file
        return True
    except ValueError:  # a name that no file system takes
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size <= MAX_SOURCE


def read_at_most(stream: BinaryIO, limit: int) -> bytes:
    """The rest of the stream; one byte more than `limit` where it is longer."""
    pieces, length = [], 0
    while length <= limit and (piece := stream.read(min(PIECE, limit + 1 - length))):
        pieces.append(piece)
        length += len(piece)
    return b"".join(pieces)


def too_large_note(what: str, limit: int) -> str:
    return f"{what} is at most {limit:,} bytes; this one was not read"


def shown_file(path: Path | str) -> str:
    """The path as printable text on one line."""
    return cut(file_name(path), 300)


def file_name(path: Path | str) -> str:
    """The path as text that UTF-8 can hold."""
    return re.sub("[\ud800-\udfff]", "\ufffd", str(path))


def file_text(path: Path) -> str:
    """The text of a small regular UTF-8 file, without its byte order mark."""
    file, raw = file_name(path), _file_bytes(path)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        fail("not-utf8", f"{file} is UTF-16, not UTF-8: it starts with a UTF-16 byte order mark",
             line_span(file, 1), help=("save it as UTF-8",))  # fmt: skip
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        before = split_lines(raw[: error.start].decode())
        line, column = len(before), len(before[-1])
        text = split_lines(raw.decode(errors="replace"))[line - 1]
        fail("not-utf8", f"{file} is not UTF-8: byte 0x{raw[error.start]:02x} on line {line}",
             line_span(file, line, text, column, column + 1), help=("save it as UTF-8",))  # fmt: skip


def _file_bytes(path: Path) -> bytes:
    """The bytes of a YAML file. Raises ConfigError."""
    try:
        return read_regular(path, "a YAML file", MAX_BYTES)
    except FileProblem as found:
        near = tuple(f"for example {name}" for name in yaml_files_in(path)[:1])
        code = "not-a-file" if found.problem == "kind" else "config-unreadable"
        code = "config-not-found" if found.problem == "missing" else code
        code = "config-too-large" if found.problem == "large" else code
        help = found.help or near if found.problem == "kind" else found.help
        fail(code, found.message, line_span(file_name(path), 1), found.notes, help)


def file_kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def names_in(directory: Path) -> list[str]:
    """The sorted names in a directory, of the first 1,000 that it lists."""
    try:
        return sorted(file_name(path.name) for path in islice(directory.iterdir(), 1000))
    except (OSError, ValueError):  # ValueError: a zero byte in its name
        return []


def yaml_files_in(directory: Path) -> list[str]:
    """The paths of a directory's YAML files; none where it is not a directory."""
    return [str(directory / name) for name in names_in(directory) if name.endswith((".yaml", ".yml"))]


def nearest_files(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Notes and help for a path without a file: similar names in its directory, or that there is no directory."""
    from difflib import get_close_matches

    folder = path.parent
    if not os.path.isdir(folder):
        return (f"there is no directory {shown_file(folder)}",), ()
    if os.path.islink(path):
        return (f"it is a link to {shown_file(os.readlink(path))}, which leads nowhere",), ()
    names = {name.lower(): name for name in names_in(folder)}
    near = get_close_matches(path.name.lower()[:255], list(names), n=3, cutoff=0.6)
    shown = " or ".join(str(folder / names[name]) for name in near)
    return (), (f"did you mean {shown}?",) if near else ()
