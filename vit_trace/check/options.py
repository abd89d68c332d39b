"""The options of `check`, as one record."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Check(NamedTuple):
    """What the command line says of a check: the formats, what counts, what is looked at besides the config."""

    format: str
    output: tuple[Path, ...]
    strict: bool
    jobs: int | None
    suggest: tuple[str, ...]
    checkpoint: Path | None = None
    memory: str | None = None
    optimizer: str | None = None
    precision: str | None = None
    checkpointing: bool = False
