"""The ways to have an exception explained from within Python: hooks, a context, after the fact, in IPython.

Imports the standard library only: what explains is imported once something has failed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vit_trace.scripts.explain import Explanation


class _Before:
    """The hooks that were there; None while ours are not installed."""

    excepthook: Any = None
    threading_hook: Any = None


def install() -> None:
    """Explain what ends the program, or a thread of it, after Python's traceback. Undone by `uninstall`."""
    if _Before.excepthook is None:
        _Before.excepthook, _Before.threading_hook = sys.excepthook, threading.excepthook
        sys.excepthook, threading.excepthook = _told, _told_of_thread


def uninstall() -> None:
    """Put back the hooks that `install` found, unless somebody has put others over ours since."""
    if sys.excepthook is _told:
        sys.excepthook = _Before.excepthook
    if threading.excepthook is _told_of_thread:
        threading.excepthook = _Before.threading_hook
    _Before.excepthook = _Before.threading_hook = None


def _told(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    (_Before.excepthook or sys.__excepthook__)(kind, error, traceback)
    _tell(error)


def _told_of_thread(given: threading.ExceptHookArgs) -> None:
    (_Before.threading_hook or threading.__excepthook__)(given)
    if given.exc_value is not None:
        _tell(given.exc_value)


def _tell(error: BaseException) -> None:
    if isinstance(error, Exception) and "torch" in sys.modules and "told_by_vit_trace" not in vars(error):
        from vit_trace.scripts.report import tell

        tell(error)


def explained_error(error: BaseException | None = None) -> Explanation | None:
    """Why an exception was raised: the one given, the one that is being handled, or the last that ended a line."""
    error = error or sys.exc_info()[1] or getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    if not isinstance(error, Exception) or "torch" not in sys.modules:
        return None
    from vit_trace.scripts.explain import explanation

    try:
        return explanation(error)
    except Exception:  # the exception itself is worth more than a failure of ours
        return None


@contextmanager
def explaining() -> Iterator[None]:
    """Add the explanation to an exception that leaves the block: it then stands below Python's traceback."""
    try:
        yield
    except Exception as error:
        if (found := explained_error(error)) is not None:
            error.add_note(f"\n{found}")
            vars(error)["told_by_vit_trace"] = True
        raise


def load_ipython(shell: Any) -> None:
    """`%load_ext vit_trace`: what a cell raises is explained below its traceback."""

    def handle(shell: Any, kind: Any, error: Any, traceback: Any, tb_offset: Any = None) -> None:
        shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)
        if (found := explained_error(error)) is not None:
            from IPython.display import display

            display(found)  # type: ignore[no-untyped-call]

    shell.set_custom_exc((Exception,), handle)


def unload_ipython(shell: Any) -> None:
    """`%unload_ext vit_trace`"""
    shell.set_custom_exc((), None)
