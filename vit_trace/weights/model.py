"""Builds a target without memory and lists its state dict: names, shapes and dtypes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from vit_trace.base.roles import ROLES, SETTINGS
from vit_trace.targets.target import Target
from vit_trace.weights.data import Checkpoint, Entry
from vit_trace.weights.mapping import Conversion, shape_of_move

if TYPE_CHECKING:
    from torch import nn

NAMES = ROLES | SETTINGS
"""What libraries call the quantities that a misfit would set."""


class Model(Struct, frozen=True):
    """A model's tensors by name; `saved` by the names its library saves them under, where those are others.

    `base` is the prefix that the library itself adds or takes away when it loads, `module` the model on meta.
    """

    entries: dict[str, Entry]
    saved: dict[str, Entry] | None = None
    base: str = ""
    module: Any = None


def model_of(target: Target) -> Model:
    """The target's tensors. Raises whatever its constructor raises."""
    from vit_trace.record.build.anyhow import build_anyhow
    from vit_trace.targets.complaints import contained

    with contained():
        return model_at_hand(build_anyhow(target.build).model)


def model_at_hand(module: nn.Module) -> Model:
    """A model's tensors, whatever device it is on."""
    state = {name: value for name, value in module.state_dict().items() if hasattr(value, "shape")}
    base = str(getattr(module, "base_model_prefix", "") or "")
    saved = _saved_names(module, state) if base else None
    return Model(_entries_of(state), saved, f"{base}." if base else "", module)


def loads(remedy: Conversion, checkpoint: Checkpoint, model: Model) -> bool:
    """Whether what the remedy makes loads into the model strictly: tried on meta, where it takes no memory."""
    import torch

    made = {
        move.name: torch.empty(shape, device="meta")
        for move in remedy.tensors
        if (shape := shape_of_move(move, checkpoint.entries)) is not None
    }
    if any(not one.is_meta for one in model.module.parameters()):
        return True  # a model at hand: it is loaded for real
    try:
        own = {name: value for name, value in model.module.state_dict().items() if name not in made}
        outside = [name for name in own if name in model.entries and name not in remedy.kept]
        bare = {name: value.to("meta") if isinstance(value, torch.Tensor) else value for name, value in own.items()}
        model.module.load_state_dict({**made, **bare}, strict=True)
    except Exception:  # what a model's own hooks make of it
        return False
    return not outside


def _entries_of(state: Mapping[str, Any]) -> dict[str, Entry]:
    return {name: Entry(tuple(value.shape), str(value.dtype).removeprefix("torch.")) for name, value in state.items()}


def _saved_names(model: nn.Module, state: dict[str, Any]) -> dict[str, Entry] | None:
    """What save_pretrained of transformers would write: it saves some models under names of earlier versions."""
    try:
        from transformers.core_model_loading import revert_weight_conversion

        return _entries_of(revert_weight_conversion(model, dict(state)))  # type: ignore[arg-type]
    except Exception:  # a private function of transformers: without it roles still match names
        return None


def name_in(target: Target, role: str) -> str | None:
    """The target's own name of a quantity."""
    return next((name for name in target.hyperparameters if name in NAMES.get(role, ())), None)
