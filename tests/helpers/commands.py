"""Runs vit-trace in this process or in one of its own, and Python and shell programs beside it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from vit_trace.cli.app import run

Done = subprocess.CompletedProcess

TERMINAL = ("COLUMNS", "NO_COLOR", "FORCE_COLOR")
"""Variables that conftest pins for this process; a process of its own starts without them."""

SECONDS = 120
"""Seconds after which a process is given up, so that a hang is a failure."""


class Outcome(NamedTuple):
    """Exit code of a command, and what it wrote."""

    code: int
    out: str
    err: str


def call(capture, *arguments: object) -> Outcome:
    """vit-trace in this process; `capture` is pytest's capfd or capsys."""
    code = run([str(argument) for argument in arguments])
    return Outcome(code, *capture.readouterr())


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with the `vit-trace` beside this Python on the path and no terminal pinned."""
    kept = {name: value for name, value in os.environ.items() if name not in TERMINAL}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | {"PATH": path} | more


def python_process(*words: object, text: bool = True, **variables: str) -> Done:
    """Python in a process of its own, with its output; `text=False` keeps bytes."""
    command = [sys.executable, *(word if isinstance(word, bytes) else str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=text, env=environment(**variables), timeout=SECONDS)


def process(*arguments: object, text: bool = True, **variables: str) -> Done:
    """vit-trace in a process of its own."""
    return python_process("-m", "vit_trace", *arguments, text=text, **variables)


def shell(script: str, **variables: str) -> Done:
    """A bash script in which `vit-trace` is the one of this Python."""
    command = ["bash", "-c", script.replace("vit-trace", f"{sys.executable} -m vit_trace")]
    return subprocess.run(command, capture_output=True, text=True, env=environment(**variables), timeout=SECONDS)
