"""Checks whether a checkpoint fits a target: one diagnostic for each cause, with remedies that were tried.

Builds the target, and it again at other values, without memory. Imports torch, late.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vit_trace.base.trace import Diagnostic, Source
from vit_trace.weights.causes import Misfit
from vit_trace.weights.causes.names import MODEL, find_names
from vit_trace.weights.causes.quiet import other_dtypes, other_heads
from vit_trace.weights.data import Checkpoint
from vit_trace.weights.differences import differences
from vit_trace.weights.remedies import Remedies, name_in

if TYPE_CHECKING:
    from vit_trace.targets.target import Target


def fit(checkpoint: Checkpoint, target: Target, places: Mapping[str, Source] | None = None) -> list[Diagnostic]:
    """What keeps the checkpoint from being loaded into the target; nothing where it fits.

    Args:
        places: where the values of the target were given.

    Raises what the target's constructor raises.
    """
    from vit_trace.weights.model import model_of

    places = places or {}
    model = model_of(target)
    found, ours, misfits = differences(checkpoint, target, model)
    if not any(misfit.code == MODEL.code for misfit in misfits):
        misfits = [*find_names(found, model), *misfits]
    remedies = Remedies(checkpoint, target, misfits)
    diagnostics = [remedies.diagnostic(misfit, places) for misfit in misfits]
    span = places.get(name_in(target, "heads") or "")
    diagnostics += [as_diagnostic(one, span) for one in (other_heads(ours, target) if ours else ())]
    return diagnostics + [as_diagnostic(one, None) for one in other_dtypes(checkpoint, model)]


def as_diagnostic(misfit: Misfit, span: Source | None) -> Diagnostic:
    return Diagnostic(misfit.code, misfit.severity, misfit.message, span, misfit.notes, misfit.help)
