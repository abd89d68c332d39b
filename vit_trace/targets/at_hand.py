"""Makes a target of a model that a program has already built: how its class makes it again, and what it was fed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

from vit_trace.base.roles import SETTINGS
from vit_trace.base.trace import Value
from vit_trace.targets.assignments import signature_of
from vit_trace.targets.inputs import Given, Inputs, Plan, given_plan
from vit_trace.targets.knobs import Changes, change_values, integer_of, integers, is_config
from vit_trace.targets.recipe import Recipe, assemble
from vit_trace.targets.request import NO_REQUEST
from vit_trace.targets.target import Foreign

if TYPE_CHECKING:
    from torch import nn

MODULES = 3_000
"""Modules of a model above which it is not built again."""


def at_hand(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Foreign]:
    """The model as a target, made again from its config or from what it keeps of its constructor's arguments.

    Each has the same parameters; whether its forward is the same too is not known. None where the model is fed more
    than tensors and plain values. Raises what building raises.
    """
    from vit_trace.record.build.anyhow import build_anyhow

    found = _tensors(args, kwargs)
    if found is None or sum(1 for _ in model.modules()) > MODULES:
        return
    wanted, made = _parameters(model), type(model)
    for arguments, kept in _arguments(model):
        make = partial(made, **arguments)
        built = build_anyhow(make)
        if _parameters(built.model) == wanted:
            fed = _fed_as(found, integer_of(arguments, "channels"), args, kwargs)
            vary = partial(_varied, made, arguments)
            recipe = Recipe(made.__name__, make, built, partial(_always, [fed]), arguments, vary)
            sizes = _sizes({name: arguments[name] for name in kept})
            yield replace(assemble(recipe, NO_REQUEST), hyperparameters=sizes)


def _always(plans: Sequence[Plan], _: object) -> Sequence[Plan]:
    return plans


def _sizes(arguments: Mapping[str, Any]) -> dict[str, Value]:
    """The whole numbers, and short lists of them, that arguments hold, by their names."""
    return {str(path[-1]): [*one] if isinstance(one, Sequence) else one for path, one in integers(arguments)}


def _varied(made: type, arguments: Mapping[str, Any], changes: Changes) -> object:
    return made(**change_values(arguments, changes))


def _parameters(model: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(one.shape)) for name, one in model.named_parameters()]


def _arguments(model: nn.Module) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """What its constructor may have been given, and the names of what the model itself keeps of it.

    What it does not keep is what its parts keep under the same name, how many equal blocks there are for a count of
    layers, or the default.
    """
    parameters = signature_of(type(model)) or {}
    if any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters.values()):
        return
    names = [name for name, one in parameters.items() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    own = {name: held for name in names if _is_plain(held := vars(model).get(name, _ABSENT))}
    inner = {name: held for name in names if (held := _in_parts(model, name)) is not _ABSENT}
    tried: list[dict[str, Any]] = []
    for more in (inner, {**inner, **_depths(model, names)}, {}):
        found = {name: parameters[name].default for name in names} | more | own
        if _ABSENT not in found.values() and found not in tried:
            tried.append(found)
            yield found, [*own]


_ABSENT = inspect.Parameter.empty
PLAIN_VALUES = (int, float, str, bool, type(None), tuple, list, dict)


def _is_plain(value: Any) -> bool:
    """Whether an attribute may be what a constructor was given: numbers, texts, configs, classes, functions."""
    if value is _ABSENT:
        return False
    return isinstance(value, (*PLAIN_VALUES, type, FunctionType)) or is_config(value) or is_dataclass(value)


def _in_parts(model: nn.Module, name: str) -> Any:
    """The one number or text that parts of the model have under a name."""
    held = [vars(part)[name] for part in model.modules() if part is not model and name in vars(part)]
    same = bool(held) and all(isinstance(one, PLAIN_VALUES) and one == held[0] for one in held)
    return held[0] if same else _ABSENT


def _depths(model: nn.Module, names: Sequence[str]) -> dict[str, int]:
    """Parameters that count layers, with how many blocks of one class the list has that holds most parameters."""
    from torch import nn

    lists = [part for part in model.modules() if isinstance(part, (nn.ModuleList, nn.Sequential))]
    held = max(lists, key=lambda part: sum(one.numel() for one in part.parameters()), default=None)
    kinds = [type(child) for child in held] if held is not None else []
    return {name: max(map(kinds.count, kinds)) for name in names if name in SETTINGS["depth"] and kinds}


_Places = tuple[list[Given], list[str | int]]
"""The tensors of a call, and where each stands: by place or by name."""


def _tensors(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Places | None:
    """The tensors among the arguments; None where some are inside of others, or have no axes."""
    from torch import Tensor

    from vit_trace.record.meta.tensors import leaves

    given: list[tuple[str | int, Any]] = [*enumerate(args), *kwargs.items()]
    held = [(place, one) for place, one in given if isinstance(one, Tensor)]
    if not held or len(held) != sum(1 for _ in leaves((args, dict(kwargs)))) or not all(one.ndim for _, one in held):
        return None
    dtypes = [str(one.dtype).removeprefix("torch.") for _, one in held]
    tensors = [Given(str(place), tuple(one.shape), dtype) for (place, one), dtype in zip(held, dtypes, strict=True)]
    return tensors, [place for place, _ in held]


def _fed_as(found: _Places, channels: int | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Plan:
    """The same call at other sizes of its tensors; whole numbers at their own sizes have their own values."""
    tensors, places = found
    plan = given_plan(tensors, channels)

    def make(sizes: Mapping[str, int]) -> Inputs:
        made: dict[str | int, Any] = {}
        for place, feed in zip(places, plan.feeds, strict=True):
            own, other = args[place] if isinstance(place, int) else kwargs[place], feed.tensor(sizes)
            same = not other.is_meta and not own.is_meta and other.shape == own.shape
            made[place] = own.detach().cpu().clone() if same else other
        return tuple(made.get(place, one) for place, one in enumerate(args)), {
            name: made.get(name, one) for name, one in kwargs.items()
        }

    return replace(plan, make=make)
