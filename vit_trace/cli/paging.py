"""Shows what is longer than the terminal in a pager, as git does: $VIT_TRACE_PAGER, $PAGER, else less."""

import io
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import IO

from vit_trace.render.legible import HANDLER

LESS = "FRX"
"""Options of less, unless $LESS is set: leave if all fits, pass colours on, keep the screen."""


class _Held(io.StringIO):
    """Holds what is written for the terminal that stdout is."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return sys.stdout.encoding

    def isatty(self) -> bool:
        return True


@contextmanager
def paged(wanted: bool) -> Iterator[IO[str]]:
    """A stream whose text goes to stdout, through a pager where that is wanted and the terminal has too few lines."""
    command = _pager() if wanted and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" else ""
    if not command:
        yield sys.stdout
        return
    held = _Held()
    yield held
    text = held.getvalue()
    if text.count("\n") < get_terminal_size().lines or not _shown_by(command, text):
        sys.stdout.write(text)
        sys.stdout.flush()


def _pager() -> str:
    """The pager's command line; "" for none."""
    names = [os.environ[name] for name in ("VIT_TRACE_PAGER", "PAGER") if name in os.environ]
    command = (names or ["less"])[0].strip()
    return "" if command == "cat" else command


def _shown_by(command: str, text: str) -> bool:
    """Whether the pager has read some of the text, or ended without an error; Ctrl-C is for it meanwhile."""
    sys.stdout.flush()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        environment = {"LESS": LESS, "LV": "-c"} | dict(os.environ)
        with tempfile.TemporaryFile(buffering=0) as given:
            given.write(text.encode(sys.stdout.encoding, HANDLER))
            given.seek(0)
            done = subprocess.run(command, shell=True, stdin=given, env=environment, check=False)
            return done.returncode == 0 or given.tell() > 0
    except OSError:
        return False
    finally:
        signal.signal(signal.SIGINT, before)
