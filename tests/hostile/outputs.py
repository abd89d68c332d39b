"""Files to write: pipes, modes, links, long names, models that leave their directory."""

import os
from pathlib import Path

from tests.hostile.case import Case

ROAMER = """
import os
from torch import nn
os.chdir("/")
class Net(nn.Conv2d):
    def __init__(self, dim=16):
        super().__init__(3, dim, 16, 16)
        os.chdir("/usr")
    def forward(self, x):
        os.chdir("/etc")
        return super().forward(x)
"""
SMALL = ("--depth", "1", "--dim", "32")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "x.json")


def _secret(folder: Path) -> None:
    (folder / "x.json").write_text("old")
    (folder / "x.json").chmod(0o600)


def _roamer(folder: Path) -> None:
    (folder / "roamer.py").write_text(ROAMER)


def _linked(folder: Path) -> None:
    (folder / "x.json").symlink_to("x.json")


def _full(folder: Path) -> None:
    (folder / "x.txt").symlink_to("/dev/full")


def _inside_a_file(folder: Path) -> None:
    (folder / "file").write_text("")


CASES = [
    Case("a pipe that nobody reads", (*SMALL, "-o", "x.json"), 2, "nobody reads", _pipe),
    Case("a file of mode 0600", (*SMALL, "-o", "x.json"), 0, "wrote", _secret),
    Case("a model that changes directory", ("roamer.py:Net", "-o", "x.json"), 0, "wrote", _roamer, written=("x.json",)),
    Case("check of a model that changes directory", ("check", "roamer.py:Net", "roamer.py:Net"), 0, "", _roamer),
    Case("a link to itself", (*SMALL, "-o", "x.json"), 0, "wrote", _linked),
    Case("a file as directory", (*SMALL, "-o", "file/x.json"), 2, "cannot-write", _inside_a_file),
    Case(
        "a full device",
        (*SMALL, "-o", "x.txt"),
        2,
        "No space",
        _full,
    ),
    Case("a name of 250 characters", (*SMALL, "-o", "x" * 245 + ".json"), 0, "", written=("x" * 245 + ".json",)),
    Case("a name of 300 characters", (*SMALL, "-o", "x" * 300 + ".json"), 2, "cannot-write"),
    Case("a name with an escape sequence", (*SMALL, "-o", "a\x1b[2Jb.json"), 0, "\\x1b", written=("a\x1b[2Jb.json",)),
    Case("a directory that is not there", (*SMALL, "-o", "a/b/c.json"), 2, "no directory"),
    Case("no suffix", (*SMALL, "-o", "x" * 100_000), 2, "unknown-suffix"),
]
