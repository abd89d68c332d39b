"""A hostile input: what is run, on what files, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One command line. It runs in an empty folder, which `prepare` fills first.

    exit: the exit code it must end with; None: 0, or an error with 1 or 2.
    says: a text that stdout or stderr must hold.
    seconds, megabytes: limits beyond the import of the library concerned.
    written: the files it may write, relative to its folder.
    requires: a library without which it does not run, and whose import comes on top of the limits.
    python: options of Python itself.
    alone: it is about a process from its start, its environment or its imports: never run as a fork.
    json: stdout must be one JSON document.
    """

    name: str
    arguments: tuple[str, ...]
    exit: int | None = 2
    says: str = ""
    prepare: Callable[[Path], None] | None = None
    environment: tuple[tuple[str, str], ...] = ()
    stdin: bytes = b""
    seconds: float = 10.0
    megabytes: int = 500
    written: tuple[str, ...] = ()
    requires: str = ""
    alone: bool = False
    python: tuple[str, ...] = ()
    json: bool = False
