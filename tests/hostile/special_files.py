"""Files that never end, are no files, are too large, or lead in circles; given wherever the tool opens one."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case

SOURCE = (
    "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self, dim=8):\n        super().__init__(dim, dim)\n"
)


def _pipe(folder: Path, name: str) -> None:
    os.mkfifo(folder / name)


def _huge(folder: Path, name: str) -> None:
    with (folder / name).open("wb") as stream:
        stream.truncate(30_000_000_000)


def _circle(folder: Path, name: str) -> None:
    (folder / name).symlink_to(name)


def _zero(folder: Path, name: str) -> None:
    (folder / name).symlink_to("/dev/zero")


def _random(folder: Path, name: str) -> None:
    (folder / name).symlink_to("/dev/urandom")


def _terminal(folder: Path, name: str) -> None:
    (folder / name).symlink_to("/dev/tty")


def _directory(folder: Path, name: str) -> None:
    (folder / name).mkdir()


def _socket(folder: Path, name: str) -> None:
    here = os.getcwd()
    os.chdir(folder)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(name)
    os.chdir(here)


def _nowhere(folder: Path, name: str) -> None:
    (folder / name).symlink_to("nothing/there")


MADE: dict[str, Callable[[Path, str], None]] = {
    "a pipe": _pipe,
    "30 GB": _huge,
    "a link to itself": _circle,
    "/dev/zero": _zero,
    "/dev/urandom": _random,
    "/dev/tty": _terminal,
    "a directory": _directory,
    "a socket": _socket,
    "a link to nothing": _nowhere,
}

PLACES: dict[str, tuple[str, tuple[str, ...]]] = {
    "show": ("x.json", ("show", "x.json")),
    "a YAML spec": ("x.yaml", ("x.yaml",)),
    "--config": ("x.yaml", ("--config", "x.yaml")),
    "check of a YAML file": ("x.yaml", ("check", "x.yaml")),
    "a config.json": ("config.json", ("config.json",)),
    "check of a config.json": ("config.json", ("check", "config.json")),
    "a Python file": ("x.py", ("x.py:Net",)),
    "--checkpoint": ("x.safetensors", ("check", "--checkpoint", "x.safetensors")),
    "--checkpoint of a .pt": ("x.pt", ("check", "configs.yaml", "--checkpoint", "x.pt")),
    "an index of shards": ("model.safetensors.index.json", ("check", "--checkpoint", "model.safetensors.index.json")),
}


def _prepared(make: Callable[[Path, str], None], name: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / "configs.yaml").write_text("depth: 1\ndim: 64\n")
        make(folder, name)

    return prepare


def _exit_of(place: str, kind: str) -> int:
    """`check` judges what it was given; what is no config and no checkpoint at all cannot start."""
    return 1 if place.startswith(("check of", "--checkpoint", "an index")) and kind in LARGE else 2


LARGE = ("30 GB",)
CASES = [
    Case(f"{kind} as {place}", arguments, _exit_of(place, kind), "error[", _prepared(make, name))
    for place, (name, arguments) in PLACES.items()
    for kind, make in MADE.items()
]
CASES += [
    Case("/dev/zero itself", ("show", "/dev/zero"), 2, "a device"),
    Case("/dev/urandom as YAML", ("--config", "/dev/urandom"), 2, "a device"),
    Case("no name as --config", ("--config", ""), 2, "a directory"),
    Case("no file as --config", ("--config", "settings"), 2, "there is no file"),
    Case("/dev/zero as a script", ("run", "/dev/zero"), 2, "it is no script"),
    Case("a directory as a script", ("run", "."), 1),
    Case("a file of the kernel without a size", ("show", "/proc/self/maps"), 2, "not a saved trace"),
    Case("a directory", ("show", "/"), 2, "a directory"),
    Case("no standard input", ("show", "-"), 2, "not a saved trace"),
    Case("a trace of 40 MB", ("show", "x.json"), 2, "too large", lambda folder: _blank(folder, 40_000_000)),
    Case("a trace of 30 MB of blanks", ("show", "x.json"), 2, "not a saved", lambda folder: _blank(folder, 30_000_000)),
]


def _blank(folder: Path, size: int) -> None:
    with (folder / "x.json").open("wb") as stream:
        for _ in range(size // 1_000_000):
            stream.write(b" " * 1_000_000)
