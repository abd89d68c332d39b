"""Turns whatever other people's code raises into an exception: sys.exit, a cancelled task, a limit that it passes."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from vit_trace.base.limits import OverLimit
from vit_trace.base.refused import refuse


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
