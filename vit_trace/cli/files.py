"""Writes files all at once or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vit_trace.base.refused import refuse

UNFINISHED: set[str] = set()
"""Paths of files that are being written under a temporary name; `__main__` removes them on Ctrl-C."""


@contextmanager
def atomic(path: Path) -> Iterator[IO[str]]:
    """A stream that becomes the file once everything is written; a device or pipe is written directly.

    Raises Refused.
    """
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


def require_place(path: Path) -> None:
    """Refuse a file that cannot be made where it should be. Raises Refused."""
    if os.path.isdir(path) or not os.path.isdir(path.parent):
        reason = "is a directory" if os.path.isdir(path) else f"there is no directory {path.parent}"
        raise refuse("cannot-write", f"-o {path}: {reason}")
