"""The options of `check`, as one record."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Check(NamedTuple):
    """What the command line says of a check: what counts as an error, what is checked besides the config."""

    checkpoint: Path | None = None
    strict: bool = False
    jobs: int | None = None
    suggest: tuple[str, ...] = ()
    memory: str | None = None
    optimizer: str | None = None
    precision: str | None = None
    checkpointing: bool = False
