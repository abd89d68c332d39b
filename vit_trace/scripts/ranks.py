"""Under torchrun, the lowest rank that failed reports for all of them: files in a temporary directory, no collectives.

Each rank leaves a mark when it fails and its account once it has one. Nobody waits for a rank that left no mark, or
whose process is gone.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

POLL = 0.05
"""Seconds between two looks at the directory."""


class Seat(NamedTuple):
    """This process among those of its run."""

    rank: int
    ranks: int
    folder: Path

    def mark(self, ending: str, content: str = "") -> None:
        """Write a file of this rank, all at once."""
        unfinished = self.folder / f"{self.rank}.{ending}-unfinished"
        unfinished.write_text(content, encoding="utf-8")
        unfinished.replace(self.folder / f"{self.rank}.{ending}")


def place_in_run() -> Seat | None:
    """This process as one of several that torchrun started; None where it is alone. Marks that it has failed."""
    names = ("RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID")
    rank, count, run = (os.environ.get(name, "") for name in names)
    if not rank.isdecimal() or not count.isdecimal() or int(count) < 2 or not run:
        return None
    restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    folder = Path(tempfile.gettempdir()) / f"vit-trace-{os.getuid()}-{os.getppid()}-{restart}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        place = Seat(int(rank), int(count), folder)
        place.mark("failed", str(os.getpid()))
    except OSError:  # no temporary directory: this rank speaks for itself
        return None
    return place


def report_together(place: Seat, kind: str, text: str) -> None:
    """Hand in this rank's account, "" where it has none; the lowest rank writes them all, equal ones once."""
    place.mark("account", json.dumps({"kind": kind, "text": text}))
    lower = [rank for rank in _failed(place) if rank < place.rank]
    if lower:
        _wait(lambda: not (place.folder / f"{lower[0]}.failed").exists() or not _is_alive(place, lower[0]))
        if (place.folder / f"{lower[0]}.failed").exists():  # it is gone, and has said nothing
            _write(place)
        return
    _wait(lambda: all(_has_account(place, rank) or not _is_alive(place, rank) for rank in _failed(place)))
    _write(place)
    shutil.rmtree(place.folder, ignore_errors=True)


def _write(place: Seat) -> None:
    groups: dict[tuple[str, str], list[int]] = {}
    for rank in _failed(place):
        if _has_account(place, rank):
            held = json.loads((place.folder / f"{rank}.account").read_text(encoding="utf-8"))
            groups.setdefault((held["kind"], held["text"]), []).append(rank)
    if not any(text for _, text in groups):
        return
    for (kind, text), ranks in groups.items():
        who = f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))} of {place.ranks}"
        sys.stderr.write(f"\n{who}: {kind}\n{text}")
    sys.stderr.flush()


def _failed(place: Seat) -> list[int]:
    return sorted(int(path.stem) for path in place.folder.glob("*.failed"))


def _has_account(place: Seat, rank: int) -> bool:
    return (place.folder / f"{rank}.account").exists()


def _is_alive(place: Seat, rank: int) -> bool:
    try:
        os.kill(int((place.folder / f"{rank}.failed").read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def _wait(ready: Callable[[], bool]) -> None:
    while not ready():
        time.sleep(POLL)


def folder_of_children(parent: int) -> Path:
    """Where processes that a script started leave their accounts for it."""
    return Path(tempfile.gettempdir()) / f"vit-trace-children-{os.getuid()}-{parent}"
