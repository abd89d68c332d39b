"""Explains what ends a process that the script started with multiprocessing: there, once Python has told it.

torch.multiprocessing.spawn has the parent tell it: then the process leaves its account to the parent. Imports the
standard library only.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import process, spawn
from typing import Any

from vit_trace.scripts.ranks import folder_of_children

BEFORE = """
try:
    from vit_trace.scripts.children import follow
    follow()
except Exception:
    pass
"""
"""What a new Python runs before it takes its work from the parent."""

_bootstrap: Callable[..., int] = process.BaseProcess._bootstrap  # type: ignore[attr-defined]
_command_line = spawn.get_command_line


def follow() -> None:
    """From now on every process that this one starts explains itself."""
    process.BaseProcess._bootstrap = _followed  # type: ignore[attr-defined]
    spawn.get_command_line = _command
    atexit.register(lambda: shutil.rmtree(folder_of_children(os.getpid()), ignore_errors=True))


def _command(**given: Any) -> list[str]:
    words = _command_line(**given)
    if "-c" in words:
        words[words.index("-c") + 1] = BEFORE + words[words.index("-c") + 1]
    return words


def _followed(self: process.BaseProcess, *args: Any, **kwargs: Any) -> int:
    """Run the process' work; its exit code."""
    with _written() as errors:
        code = _bootstrap(self, *args, **kwargs)
    if code and errors and "torch" in sys.modules:
        error, by_parent = errors[-1]
        try:
            _tell(error, by_parent)
        except Exception:  # it ends as it would have
            return code
    return code


@contextmanager
def _written() -> Iterator[list[tuple[Exception, bool]]]:
    """The exceptions whose traceback is printed, or (True) made into a text."""
    found: list[tuple[Exception, bool]] = []
    plain = {name: getattr(traceback, name) for name in ("print_exc", "format_exc")}

    def noting(name: str) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            if isinstance(error := sys.exc_info()[1], Exception):
                found[:] = [(error, name == "format_exc")]
            return plain[name](*args, **kwargs)

        return noted

    for name in plain:
        setattr(traceback, name, noting(name))
    try:
        yield found
    finally:
        for name, function in plain.items():
            setattr(traceback, name, function)


def _tell(error: Exception, by_parent: bool) -> None:
    import torch

    from vit_trace.scripts.explain import explanation
    from vit_trace.scripts.saved import save, write_found

    torch.set_num_threads(1)  # a fork has lost the others
    found = explanation(error)
    if found is None:
        return
    if by_parent:
        folder = folder_of_children(os.getppid())
        folder.mkdir(mode=0o700, exist_ok=True)
        save(error, found.diagnostics, found.trace, [str(folder / f"{os.getpid()}.json")])
    else:
        write_found(found.diagnostics, sys.stderr)
