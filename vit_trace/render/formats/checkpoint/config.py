"""Writes the model that a checkpoint holds as its library's config.json."""

from __future__ import annotations

from typing import IO

from vit_trace.render.formats import Format
from vit_trace.weights.holding import Holding, config_text


def write_checkpoint_config(held: Holding, stream: IO[str]) -> None:
    stream.write(config_text(held, ".json"))


FORMAT = Format(write_checkpoint_config, suffixes=(".json",))
