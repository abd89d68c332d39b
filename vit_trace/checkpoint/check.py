"""`check --checkpoint FILE`: with a spec what does not fit, without one which model the file holds. Torch late."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from vit_trace.checkpoint.data import Checkpoint
from vit_trace.checkpoint.files import read
from vit_trace.checkpoint.holding import Holding, config_text, holding
from vit_trace.output import atomic, known, refuse, require_suffixes

if TYPE_CHECKING:
    from vit_trace.flags import Check, Model
    from vit_trace.tracing.schema import Diagnostic

FORMATS = ("rich", "json")
CONFIGS = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}


@lru_cache(maxsize=1)
def once(path: Path) -> Checkpoint:
    """The checkpoint, read once for all specs. Raises Refused."""
    return read(path)


def misfits(path: Path, spec: str | None, model: Model) -> list[Diagnostic]:
    """What keeps the checkpoint from being loaded into the model of a spec. Raises Refused where it cannot be read."""
    from vit_trace.checkpoint.fit import fit
    from vit_trace.checks.subject import examined

    checkpoint = once(path)
    facts = examined(spec, model).facts
    places = {one.name: one.span for network in facts.networks for one in network.values() if one.span is not None}
    return fit(checkpoint, facts.target, places)


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
