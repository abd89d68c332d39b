"""Finds the state dict in what was saved: {'model': …, 'epoch': 3}, EMA weights, a wrapper of a trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vit_trace.base.refused import refuse
from vit_trace.base.words import first_few
from vit_trace.config.words import cut
from vit_trace.weights.data import MAX_TENSORS, Checkpoint, Entry, too_large
from vit_trace.weights.torch_values import Storage, Tensor

PREFERRED = (
    "state_dict", "model", "model_state_dict", "model_state", "module", "net", "network", "weights", "params",
    "teacher", "student", "target", "target_encoder", "encoder", "backbone", "visual",
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "model_ema_state_dict", "shadow_params",
)  # fmt: skip
"""Keys under which models are saved, in the order of preference."""

ASIDE = ("optim", "sched", "scaler", "amp", "criterion", "loss", "rng", "loops", "callbacks", "opt")
"""Beginnings of keys under which something else is saved."""

DEPTH = 6
"""Dictionaries inside one another that are opened; deeper ones are not searched."""


def state_of(path: str, value: Any, check: Callable[[Storage], None]) -> Checkpoint:
    """The state dict in a loaded value; `check` is called for each storage it needs. Raises Refused."""
    taken: list[str] = []
    notes: list[str] = []
    while isinstance(value, dict) and len(taken) < DEPTH and not is_state(value):
        key = best(value)
        if key is None:
            break
        others = [
            cut(str(other), 30) for other in value if other != key and isinstance(value[other], (dict, Tensor, list))
        ]
        if others:
            notes.append(f"took [{key!r}] and left out {first_few(others, 4)}")
        taken.append(str(key))
        value = value[key]
    tensors = tensors_by_name(value)
    if not tensors:
        what = (
            "one tensor" if isinstance(value, Tensor) else f"a {type(value).__name__}" if value is not None else "None"
        )
        if isinstance(value, dict):
            what = (
                f"a dictionary of {cut(', '.join(map(str, list(value)[:4])), 80)}" if value else "an empty dictionary"
            )
        help = ("torch.save(model.state_dict(), FILE)",)
        raise refuse("not-a-checkpoint", f"{path} holds no state dict, but {what}", help=help)
    if len(tensors) > MAX_TENSORS:
        raise too_large(path, f"{len(tensors):,} tensors; {MAX_TENSORS:,} are read at most")
    storages: set[Storage] = set()
    for tensor in tensors.values():
        if tensor.storage is not None and tensor.storage not in storages:
            storages.add(tensor.storage)
            check(tensor.storage)
    entries: dict[str, Entry] = {name: tensor.entry for name, tensor in tensors.items()}
    return Checkpoint(path, "torch", entries, tuple(taken), tuple(notes))


def is_state(value: dict[Any, Any]) -> bool:
    """Whether it directly holds tensors, at least as many as any dictionary in it."""
    direct = len(tensors_by_name(value))
    distinct = {id(one): one for one in value.values() if isinstance(one, dict)}
    inside = max((len(tensors_by_name(one)) for one in distinct.values()), default=0)
    return direct > 0 and direct >= inside


def best(value: dict[Any, Any]) -> Any:
    """The key that leads to the model: a usual name, else that with most tensors."""
    leading = {key: one for key, one in value.items() if leads(one)}
    usual = [key for key in PREFERRED if key in leading]
    if usual:
        return usual[0]
    own = [key for key in leading if not str(key).lower().startswith(ASIDE)]
    return max(own, key=lambda key: tensors_in(leading[key], {}), default=None)


def leads(value: Any) -> bool:
    return isinstance(value, dict) and tensors_in(value, {}) > 0


def tensors_in(value: Any, counted: dict[tuple[int, int], int], depth: int = 3) -> int:
    """Tensors in the first levels of nested dictionaries, each dictionary counted once."""
    if isinstance(value, Tensor):
        return 1
    if not isinstance(value, dict) or not depth:
        return 0
    place = id(value), depth
    if place not in counted:
        counted[place] = 0
        counted[place] = sum(tensors_in(one, counted, depth - 1) for one in value.values())
    return counted[place]


def tensors_by_name(value: Any) -> dict[str, Tensor]:
    """Tensors by name."""
    if not isinstance(value, dict):
        return {}
    return {str(key): one for key, one in value.items() if isinstance(one, Tensor)}
