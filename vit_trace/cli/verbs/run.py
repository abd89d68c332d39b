"""Runs a script, and explains the shape error that ends it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vit_trace.base.refused import refuse
from vit_trace.cli.options import SCREEN, STOPS, Option, OptionGroup, Output, verb
from vit_trace.cli.output import Exit, destinations, write
from vit_trace.scripts.launch import Job
from vit_trace.view.screen import Screen, Viewed

if TYPE_CHECKING:
    from vit_trace.base.trace import Trace


class Running(NamedTuple):
    """How to run the script, and until when."""

    module: bool = False
    first: bool = False
    steps: int | None = None
    stops: tuple[str, ...] = ()


WORDS = Option("words", "SCRIPT [ARGS]...", "The script, with its own arguments.", (), positional=True)
ASKED = OptionGroup(
    Running,
    (
        Option("module", None, "SCRIPT is the name of a module, as for python -m.", False, flags=("-m",)),
        Option("first", None, "Stop after the first complete forward and show its trace, with the loss.", False),
        Option(
            "steps", "N", "Stop after training step N, show the first, tell where shapes changed.", None, int, (), (), 1
        ),
        STOPS,
    ),
)
FILES = Option(
    "files", "FILE", "Keep the report of a crash: .json, .txt, .html. May be repeated.", (), Path, ("-o", "--output")
)

SUFFIXES = (".json", ".txt", ".html")

WANTED: Job | None = None
"""What the command line asks to run; `__main__` runs it once the command line is done."""


@verb(interspersed=False, words=WORDS, asked=ASKED, screen=SCREEN, files=FILES)
def run(words: tuple[str, ...], asked: Running, screen: Screen, files: tuple[Path, ...]) -> int:
    """Run a script as Python does; explain a shape error that ends it."""
    global WANTED
    from vit_trace.config.files import shown_file

    if not words:
        raise refuse("usage", "run what? A script, or -m and a module", help=("vit-trace run train.py",))
    steps = 1 if asked.first else asked.steps or int(bool(asked.stops))
    where = destinations("trace", Output(None, files), screen.view) if steps else []
    for path in files if not steps else ():
        if path.suffix.lower() not in SUFFIXES:
            help = (f"end it in {' or '.join(SUFFIXES)}",)
            raise refuse("unknown-suffix", f"-o {shown_file(path)}: its ending does not name a format", help=help)
        if not path.absolute().parent.is_dir():
            raise refuse("cannot-write", f"-o {shown_file(path)}: there is no directory {shown_file(path.parent)}")

    def show(trace: Trace) -> int:
        from vit_trace.cli.verbs.trace import report_trace

        write(Viewed(trace, screen), where)
        return report_trace(trace, screen.traceback)

    def around() -> AbstractContextManager[None]:
        from vit_trace.cli.verbs.trace import stopped

        return stopped(asked.stops)

    kept = tuple(str(path.absolute()) for path in files)
    WANTED = Job(words[0], words[1:], asked.module, kept, steps, show, around)
    return Exit.WELL
