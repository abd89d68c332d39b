"""Checks whether a checkpoint fits the model of a spec: `check --checkpoint`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.refused import Refused
from vit_trace.check.verdict import Verdict

if TYPE_CHECKING:
    from vit_trace.check.options import Check
    from vit_trace.check.subject import Subject
    from vit_trace.weights.data import Checkpoint


def with_fit(verdict: Verdict, subject: Subject, asked: Check) -> Verdict:
    """The verdict with what keeps the checkpoint from being loaded, where the model runs at all."""
    if asked.checkpoint is None or verdict.count("error"):
        return verdict
    from vit_trace.weights.fit import fit

    spans = {one.name: one.span for one in subject.facts.quantities if one.span is not None}
    try:
        found = fit(_checkpoint(asked.checkpoint), subject.facts.target, spans)
    except Refused as refused:
        return replace(verdict, diagnostics=(*verdict.diagnostics, *refused.diagnostics), started=False)
    return replace(verdict, diagnostics=(*found, *verdict.diagnostics))


@lru_cache(maxsize=1)
def _checkpoint(path: Path) -> Checkpoint:
    """The checkpoint, read once for all specs. Raises Refused."""
    from vit_trace.weights.files import read

    return read(path)
