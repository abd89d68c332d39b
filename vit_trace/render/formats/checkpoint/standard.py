"""Writes what a checkpoint holds: on a screen, as JSON, or the model in it as a config."""

from typing import IO

import msgspec

from vit_trace.render.formats import Format
from vit_trace.weights.holding import Holding, config_text


def _write_checkpoint_screen(held: Holding, stream: IO[str]) -> None:
    from vit_trace.render.checkpoint import print_holding
    from vit_trace.render.console import console_for

    print_holding(held, console_for(stream))


def _write_checkpoint_json(held: Holding, stream: IO[str]) -> None:
    """One document (`vit-trace-checkpoint/1`), on stdout only: the suffix .json stands for a config."""
    stream.write(msgspec.json.format(msgspec.json.encode(held), indent=1).decode() + "\n")


def _write_checkpoint_config(held: Holding, stream: IO[str]) -> None:
    """The library's config.json."""
    stream.write(config_text(held, ".json"))


def _write_checkpoint_yaml(held: Holding, stream: IO[str]) -> None:
    """A config of the built-in ViT."""
    stream.write(config_text(held, ".yaml"))


FORMATS = {
    "rich": Format(_write_checkpoint_screen, encoding=""),
    "json": Format(_write_checkpoint_json),
    "config": Format(_write_checkpoint_config, suffixes=(".json",)),
    "yaml": Format(_write_checkpoint_yaml, suffixes=(".yaml", ".yml")),
}
