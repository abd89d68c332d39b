"""Writes what a checkpoint holds: a screen, JSON or a config."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from vit_trace.base.refused import known, refuse
from vit_trace.cli.output import atomic, require_suffixes
from vit_trace.weights.files import read
from vit_trace.weights.holding import Holding, config_text, holding

if TYPE_CHECKING:
    from vit_trace.check.options import Check

FORMATS = ("rich", "json")

CONFIGS = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}


def write(asked: Check) -> Iterator[Path]:
    """Say which model the checkpoint holds, or write it as a config; yields each file once whole. Raises Refused."""
    assert asked.checkpoint is not None
    known("--format", asked.format or "rich", FORMATS)
    require_suffixes(asked.output, CONFIGS)
    if asked.suggest:
        raise refuse("usage", "--suggest needs a SPEC", help=("vit-trace check SPEC --suggest heads",))
    held = holding(read(asked.checkpoint))
    texts = [(path, config_text(held, ".json" if path.suffix == ".json" else ".yaml")) for path in asked.output]
    if asked.format or not asked.output:
        show(held, asked.format or "rich", sys.stdout)
    for path, text in texts:
        with atomic(path) as stream:
            stream.write(text)
        yield path


def show(held: Holding, format: str, stream: IO[str]) -> None:
    if format == "json":
        stream.write(msgspec.json.format(msgspec.json.encode(held), indent=1).decode() + "\n")
        return
    from vit_trace.render.checkpoint import print_holding

    print_holding(held, stream)
