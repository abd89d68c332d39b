"""The options of `check`, as one record."""

from pathlib import Path
from typing import NamedTuple

from vit_trace.memory.options import TrainingAsked


class Check(NamedTuple):
    """The options of `check`: whether a warning fails, and what is examined besides the config.

    `key` names a state dict in the checkpoint. `suggest` names hyperparameters; `memory` is an amount as typed,
    `training` says how to train. `select` and `ignore` are codes or their beginnings; `verbose` shows notes, `quiet`
    only errors.
    """

    checkpoint: Path | None = None
    key: str | None = None
    strict: bool = False
    jobs: int | None = None
    suggest: tuple[str, ...] = ()
    memory: str | None = None
    training: TrainingAsked = TrainingAsked()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    verbose: bool = False
    quiet: bool = False
