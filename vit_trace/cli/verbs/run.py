"""Runs a script, and explains the shape error that ends it."""

from __future__ import annotations

from pathlib import Path

from vit_trace.base.refused import refuse
from vit_trace.cli.options import Option, verb
from vit_trace.cli.output import Exit
from vit_trace.config.files import shown_file
from vit_trace.scripts.launch import Job

WORDS = Option("words", "SCRIPT [ARGS]...", "The script, with its own arguments.", (), positional=True)
MODULE = Option("module", None, "SCRIPT is the name of a module, as for python -m.", False, flags=("-m",))
FILES = Option("files", "FILE", "Keep the report: .json, .txt or .html.", (), Path, ("-o", "--output"))

SUFFIXES = (".json", ".txt", ".html")

WANTED: Job | None = None
"""What the command line asks to run; `__main__` runs it once the command line is done."""


@verb(interspersed=False, words=WORDS, module=MODULE, files=FILES)
def run(words: tuple[str, ...], module: bool, files: tuple[Path, ...]) -> int:
    """Run a script as Python does; if a shape error ends it, explain that."""
    global WANTED
    if not words:
        raise refuse("usage", "run what? A script, or -m and a module", help=("vit-trace run train.py",))
    for path in files:
        if path.suffix.lower() not in SUFFIXES:
            help = (f"end it in {' or '.join(SUFFIXES)}",)
            raise refuse("unknown-suffix", f"-o {shown_file(path)}: its ending does not name a format", help=help)
        if not path.absolute().parent.is_dir():
            raise refuse("cannot-write", f"-o {shown_file(path)}: there is no directory {shown_file(path.parent)}")
    WANTED = Job(words[0], words[1:], module, tuple(str(path.absolute()) for path in files))
    return Exit.WELL
