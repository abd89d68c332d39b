"""Writes what a checkpoint holds as one JSON document (`vit-trace-checkpoint/1`). On stdout only: see config.py."""

from __future__ import annotations

from typing import IO

import msgspec

from vit_trace.render.formats import Format
from vit_trace.weights.holding import Holding


def write_checkpoint_json(held: Holding, stream: IO[str]) -> None:
    stream.write(msgspec.json.format(msgspec.json.encode(held), indent=1).decode() + "\n")


FORMAT = Format(write_checkpoint_json)
