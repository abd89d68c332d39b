"""Writes what a checkpoint holds: on a screen, as JSON (`vit-trace-checkpoint/1`), or the model in it as a config."""

from typing import IO

from vit_trace.render.formats import Format, write_json
from vit_trace.render.legible import visible_json
from vit_trace.weights.holding import Holding, config_text


def _write_checkpoint_screen(held: Holding, stream: IO[str]) -> None:
    from vit_trace.render.checkpoint import print_holding
    from vit_trace.render.console import console_for

    print_holding(held, console_for(stream))


FORMATS = {
    "rich": Format(_write_checkpoint_screen, encoding="", escape=None),
    "json": Format(write_json, escape=visible_json),  # without a suffix: .json stands for a config
    "config": Format(lambda held, stream: stream.write(config_text(held, ".json")), (".json",), escape=visible_json),
    "yaml": Format(lambda held, stream: stream.write(config_text(held, ".yaml")), suffixes=(".yaml", ".yml")),
}
