"""Compares a checkpoint with a built model and says why they differ. Imports torch, late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from vit_trace.weights.causes import Misfit, misfits_by_name, misfits_by_role
from vit_trace.weights.causes.names import other_model
from vit_trace.weights.compare import Comparison, compared
from vit_trace.weights.data import Checkpoint, Entry
from vit_trace.weights.describe import Description, described, description

if TYPE_CHECKING:
    from vit_trace.targets.target import Target
    from vit_trace.weights.model import Model


class Differences(NamedTuple):
    """The comparison, the checkpoint's own description where it is a Vision Transformer, and every misfit."""

    found: Comparison
    ours: Description | None
    misfits: list[Misfit]


def differences(checkpoint: Checkpoint, target: Target, model: Model) -> Differences:
    """How a checkpoint differs from the model of a target, names left aside."""
    found = nearest(checkpoint.entries, model)
    ours = description(found.ours, checkpoint.config) if found.ours else described(checkpoint)
    if not found.items:
        return Differences(found, ours, [])
    if (stranger := other_model(found)) is not None:
        return Differences(found, ours, [stranger])
    if ours is None or found.theirs is None:
        return Differences(found, ours, list(misfits_by_name(found)))
    size = target.expected[2:] if target.expected and len(target.expected) == 4 else None
    theirs = description(found.theirs, {"image_size": list(size)} if size else None)
    same_layout = found.ours is not None and found.ours.layout == found.theirs.layout
    known = replace(ours, channels=theirs.channels, patch=theirs.patch) if same_layout and same_patch(found) else ours
    return Differences(found, ours, list(misfits_by_role(found, known, theirs)))


def nearest(entries: Mapping[str, Entry], model: Model) -> Comparison:
    """The comparison with the model under its own names, or under those it is saved with where more of them agree."""
    if model.saved and sum(name in model.saved for name in entries) > sum(name in model.entries for name in entries):
        return compared(entries, model.saved)
    return compared(entries, model.entries)


def same_patch(found: Comparison) -> bool:
    """Whether flattened patches have one width in both: then the model says what channels and patch are."""
    return not any({"patch_dim", "patch", "channels"} & set(item.axes) for item in found.items)
