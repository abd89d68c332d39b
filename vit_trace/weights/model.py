"""Builds a target without memory and lists its state dict: names, shapes and dtypes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from vit_trace.base.roles import ROLES, SETTINGS
from vit_trace.targets.target import Target
from vit_trace.weights.data import Entry

if TYPE_CHECKING:
    from torch import nn

NAMES = ROLES | SETTINGS
"""What libraries call the quantities that a misfit would set."""


class Model(Struct, frozen=True):
    """A model's tensors by name; `saved` by the names its library saves them under, where those are others.

    `base` is the prefix that the library itself adds or takes away when it loads.
    """

    entries: dict[str, Entry]
    saved: dict[str, Entry] | None = None
    base: str = ""


def model_of(target: Target) -> Model:
    """The target's tensors. Raises whatever its constructor raises."""
    from vit_trace.record.build.anyhow import build_anyhow
    from vit_trace.targets.complaints import contained

    with contained():
        model = build_anyhow(target.build).model
        state = {name: value for name, value in model.state_dict().items() if hasattr(value, "shape")}
        base = str(getattr(model, "base_model_prefix", "") or "")
        return Model(_entries_of(state), _saved_names(model, state) if base else None, f"{base}." if base else "")


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
