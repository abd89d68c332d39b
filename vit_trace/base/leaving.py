"""Turns whatever other people's code raises into an exception: sys.exit, a cancelled task, a limit that it passes."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vit_trace.base.limits import OverLimit
from vit_trace.base.refused import refuse


def name_unraisable() -> None:
    """Name in one line what other people's code raises where nobody can catch it: in `__del__`, in a thread."""
    sys.unraisablehook = lambda lost: _name_lost(lost.exc_value)
    threading.excepthook = lambda lost: _name_lost(lost.exc_value)


def _name_lost(error: BaseException | None) -> None:
    with contextlib.suppress(Exception):
        text = str(error).splitlines() or [""]
        print(f"ignored {type(error).__name__}: {text[0][:200]}", file=sys.stderr)


class Exited(Exception):
    """The code raised something that is not an Exception, such as SystemExit."""


def is_their_own(error: BaseException) -> bool:
    """Whether the code itself raised it: not Ctrl-C, which ends the command line without an exception, nor a limit."""
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    return not isinstance(error, OverLimit)


@contextmanager
def exceptions_only() -> Iterator[None]:
    """Raises Exited for what is not an Exception, and Refused where a limit was passed."""
    try:
        yield
    except Exception:
        raise
    except OverLimit as over:
        raise refuse("over-limit", str(over), help=(over.help,)) from over
    except BaseException as error:
        if not is_their_own(error):
            raise
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise Exited(text).with_traceback(error.__traceback__) from error
