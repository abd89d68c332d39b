"""Writes the model that a checkpoint holds as a YAML config of the built-in ViT."""

from __future__ import annotations

from typing import IO

from vit_trace.render.formats import Format
from vit_trace.weights.holding import Holding, config_text


def write_checkpoint_yaml(held: Holding, stream: IO[str]) -> None:
    stream.write(config_text(held, ".yaml"))


FORMAT = Format(write_checkpoint_yaml, suffixes=(".yaml", ".yml"))
