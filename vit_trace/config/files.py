"""Reads a small regular UTF-8 file, or refuses it with what it is and which files are near."""

import os
import re
import stat
from itertools import islice
from pathlib import Path

from vit_trace.config.words import cut, fail, line_span, split_lines

MAX_BYTES = 64 * 1024
"""Bytes of the largest file that is read: a hundred times what thirteen keys and their comments take."""


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
    """The bytes of a file; pipes and devices are refused before they are read."""
    file = file_name(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            fail("not-a-file", f"{file} is {file_kind(status.st_mode)}, not a YAML file", line_span(file, 1),
                 help=tuple(f"for example {name}" for name in yaml_files_in(path)[:1]))  # fmt: skip
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        fail("config-not-found", f"there is no file {file}", line_span(file, 1), *nearest_files(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        fail("config-unreadable", f"{cut(file, 200)} cannot be read: {reason}", line_span(file, 1))
    if len(raw) > MAX_BYTES:
        size = f"{max(status.st_size, len(raw)):,} bytes"
        note = f"a config is at most {MAX_BYTES:,} bytes; this one was not read"
        fail("config-too-large", f"{file} is too large for a config: {size}", line_span(file, 1), (note,))
    return raw


def file_kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _names_in(directory: Path) -> list[str]:
    try:
        return sorted(file_name(path.name) for path in islice(directory.iterdir(), 1000))
    except OSError:
        return []


def yaml_files_in(directory: Path) -> list[str]:
    """The paths of a directory's YAML files; none where it is not a directory."""
    return [str(directory / name) for name in _names_in(directory) if name.endswith((".yaml", ".yml"))]


def nearest_files(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Notes and help for a path without a file: similar names in its directory, or that there is no directory."""
    from difflib import get_close_matches

    folder = path.parent
    if not folder.is_dir():
        return (f"there is no directory {folder}",), ()
    if path.is_symlink():
        return (f"it is a link to {file_name(os.readlink(path))}, which leads nowhere",), ()
    names = {name.lower(): name for name in _names_in(folder)}
    near = get_close_matches(path.name.lower()[:255], list(names), n=3, cutoff=0.6)
    shown = " or ".join(str(folder / names[name]) for name in near)
    return (), (f"did you mean {shown}?",) if near else ()
