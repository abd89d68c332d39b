"""Chooses the state dict in what was saved: the usual keys first, and says what it left out. No torch."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from vit_trace.base.refused import refuse
from vit_trace.base.words import first_few
from vit_trace.config.words import cut
from vit_trace.weights.data import MAX_TENSORS, too_large
from vit_trace.weights.torch_values import Container, Tensor

PREFERRED = (
    "state_dict", "model", "model_state_dict", "model_state", "module", "net", "network", "weights", "params",
    "teacher", "student", "target", "target_encoder", "encoder", "backbone", "visual",
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "model_ema_state_dict", "shadow_params",
)  # fmt: skip
"""Keys under which models are saved, in the order of preference."""

ASIDE = ("optim", "sched", "scaler", "amp", "criterion", "loss", "rng", "loops", "callbacks", "opt", "dino_loss")
"""Beginnings of keys under which something else is saved."""

DEPTH = 6
"""Dictionaries inside one another that are opened; deeper ones are not searched."""

STATES = (
    ({"state", "param_groups"}, "the state of an optimizer"),
    ({"last_epoch", "_step_count"}, "the state of a learning rate scheduler"),
    ({"growth_factor", "growth_interval"}, "the state of a gradient scaler"),
    ({"python", "numpy", "cpu"}, "states of random number generators"),
)
"""Keys of what is saved beside a model -> what it is."""


class Chosen(Struct, frozen=True):
    """The tensors by name, the keys to them, what was left out, and what of the wanted key names no dictionary."""

    tensors: dict[str, Tensor]
    taken: tuple[str, ...]
    notes: tuple[str, ...]
    key: str


def state_dict_in(path: str, value: Any, key: str) -> Chosen:
    """The state dict that `key` leads to, or that of a usual name. Raises Refused where there is none."""
    taken: list[str] = []
    notes: list[str] = []
    value = _by_place(value)
    while isinstance(value, dict) and len(taken) < DEPTH and (key or not _is_state(value)):
        _require_weights(path, value)
        step, key = _wanted(value, key)
        if step is None and _is_state(value):
            break
        step = _best(value) if step is None else step
        if step is None:
            break
        notes += _left_out(value, step)
        taken.append(str(step))
        value = _by_place(value[step])
    tensors = _tensors_by_name(value)
    if not tensors:
        help = ("torch.save(model.state_dict(), FILE)",)
        raise refuse("not-a-checkpoint", f"{path} holds no state dict, but {_saved_instead(value)}", help=help)
    _require_weights(path, value)
    if len(tensors) > MAX_TENSORS:
        raise too_large(path, f"{len(tensors):,} tensors; {MAX_TENSORS:,} are read at most")
    return Chosen(tensors, tuple(taken), tuple(notes), key)


def _by_place(value: Any) -> Any:
    """A tuple or a list with a dictionary in it, as a dictionary of its places."""
    held = isinstance(value, (tuple, list)) and not isinstance(value, Tensor)
    return dict(enumerate(value)) if held and any(isinstance(one, dict) for one in value) else value


def _require_weights(path: str, value: dict[Any, Any]) -> None:
    """Raise Refused for what is saved beside a model."""
    for keys, what in STATES:
        if keys <= value.keys():
            state = value.get("state")
            first = next(iter(state.values()), None) if isinstance(state, dict) else None
            held = ", ".join(map(str, first)) if isinstance(first, dict) else ", ".join(map(str, value))
            note = f"it holds {cut(held, 120)}" + (f" for {len(state or ())} parameters" if first is not None else "")
            help = "name the file with the model's weights: model.safetensors, pytorch_model.bin or the like"
            raise refuse("not-a-checkpoint", f"{path} is {what}, not weights", notes=(note,), help=(help,))


def _wanted(value: dict[Any, Any], key: str) -> tuple[Any, str]:
    """The key of this dictionary that the wanted one begins with, and what is left of that."""
    for one in value:
        if key and isinstance(value[one], dict) and f"{key}.".startswith(f"{one}."):
            return one, key[len(str(one)) + 1 :]
    return None, key


def _left_out(value: dict[Any, Any], step: Any) -> list[str]:
    """What lies beside the dictionary that was taken, and how to take another one."""
    others = [one for one in value if one != step and isinstance(value[one], (dict, Tensor, list))]
    if not others:
        return []
    models = [str(one) for one in _leading(value) if one != step and not str(one).lower().startswith(ASIDE)]
    more = f"; --key {cut(models[0], 60)} takes that one instead" if models else ""
    return [f"took [{step!r}] and left out {first_few([cut(str(one), 30) for one in others], 4)}{more}"]


def _saved_instead(value: Any) -> str:
    """What was saved instead of a state dict."""
    if isinstance(value, Container):
        return f"a {value.kind}"
    lists = [value] if isinstance(value, list) else [*value.values()] if isinstance(value, dict) else []
    for one in lists:
        if isinstance(one, list) and one and all(isinstance(tensor, Tensor) for tensor in one):
            return f"a list of {len(one)} tensors without names: only its model's code knows which is which"
    if isinstance(value, dict):
        return f"a dictionary of {cut(', '.join(map(str, list(value)[:4])), 80)}" if value else "an empty dictionary"
    return "one tensor" if isinstance(value, Tensor) else "None" if value is None else f"a {type(value).__name__}"


def _is_state(value: dict[Any, Any]) -> bool:
    """Whether it directly holds tensors, at least as many as any dictionary in it."""
    direct = len(_tensors_by_name(value))
    distinct = {id(one): one for one in value.values() if isinstance(one, dict)}
    inside = max((len(_tensors_by_name(one)) for one in distinct.values()), default=0)
    return direct > 0 and direct >= inside


def _leading(value: dict[Any, Any]) -> dict[Any, int]:
    """The keys that lead to tensors, with how many."""
    counted: dict[tuple[int, int], int] = {}
    counts = {key: _tensors_in(one, counted) for key, one in value.items() if isinstance(one, dict)}
    return {key: count for key, count in counts.items() if count}


def _best(value: dict[Any, Any]) -> Any:
    """The key that leads to the model: a usual name, else that with most tensors."""
    leading = _leading(value)
    if usual := [key for key in PREFERRED if key in leading]:
        return usual[0]
    own = [key for key in leading if not str(key).lower().startswith(ASIDE)]
    return max(own, key=leading.__getitem__, default=None)


def _tensors_in(value: Any, counted: dict[tuple[int, int], int], depth: int = 3) -> int:
    """Tensors in the first levels of nested dictionaries, each dictionary counted once."""
    if isinstance(value, Tensor):
        return 1
    if not isinstance(value, dict) or not depth:
        return 0
    place = id(value), depth
    if place not in counted:
        counted[place] = 0
        counted[place] = sum(_tensors_in(one, counted, depth - 1) for one in value.values())
    return counted[place]


def _tensors_by_name(value: Any) -> dict[str, Tensor]:
    items = value.items() if isinstance(value, dict) else ()
    return {str(key): one for key, one in items if isinstance(one, Tensor)}
