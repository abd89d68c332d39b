"""Shows what a checkpoint holds on a screen."""

from __future__ import annotations

from typing import IO

from vit_trace.render.formats import Format
from vit_trace.weights.holding import Holding


def write_checkpoint_screen(held: Holding, stream: IO[str]) -> None:
    from vit_trace.render.checkpoint import print_holding
    from vit_trace.render.console import console_for

    print_holding(held, console_for(stream))


FORMAT = Format(write_checkpoint_screen, encoding="")
