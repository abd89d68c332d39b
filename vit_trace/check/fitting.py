"""Checks whether a checkpoint fits the model of a spec."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from vit_trace.weights.data import Checkpoint
from vit_trace.weights.files import read

if TYPE_CHECKING:
    from vit_trace.base.trace import Diagnostic
    from vit_trace.targets.request import Request


@lru_cache(maxsize=1)
def once(path: Path) -> Checkpoint:
    """The checkpoint, read once for all specs. Raises Refused."""
    return read(path)


def misfits(path: Path, spec: str | None, model: Request) -> list[Diagnostic]:
    """What keeps the checkpoint from being loaded into the model of a spec. Raises Refused where it cannot be read."""
    from vit_trace.check.subject import examined
    from vit_trace.weights.fit import fit

    checkpoint = once(path)
    facts = examined(spec, model).facts
    places = {one.name: one.span for network in facts.networks for one in network.values() if one.span is not None}
    return fit(checkpoint, facts.target, places)
