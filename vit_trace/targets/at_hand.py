"""Makes a target of a model that a program has already built: how its class makes it again, and what it was fed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

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

    from vit_trace.record.build.anyhow import Built

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
    wanted = _parameters(model)
    for one in _calls(model):
        built = build_anyhow(partial(one.again, {}))
        if _parameters(built.model) == wanted:
            fed = _fed_as(found, integer_of(one.arguments, "channels"), args, kwargs)
            recipe = one.recipe(built, partial(_always, [fed]))
            sizes = _sizes({name: one.arguments[name] for name in one.kept})
            yield replace(assemble(recipe, NO_REQUEST), hyperparameters=sizes)


def _always(plans: Sequence[Plan], _: object) -> Sequence[Plan]:
    return plans


def _sizes(arguments: Mapping[str, Any]) -> dict[str, Value]:
    """The whole numbers, and short lists of them, that arguments hold, by their names."""
    return {str(path[-1]): [*one] if isinstance(one, Sequence) else one for path, one in integers(arguments)}


def _parameters(model: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(one.shape)) for name, one in model.named_parameters()]


class _Call(NamedTuple):
    """How a model may have been made: its class, all arguments, those that are not defaults, those that it keeps."""

    made: type
    arguments: dict[str, Any]
    given: Collection[str]
    kept: Collection[str]

    def again(self, changes: Changes) -> object:
        """The same call with some arguments changed; what is a default already is not passed."""
        passed = {*self.given, *(str(path[0]) for path in changes)}
        changed = change_values(self.arguments, changes)
        return self.made(**{name: value for name, value in changed.items() if name in passed})

    def recipe(self, built: Built, plans: Callable[[Built], Sequence[Plan]]) -> Recipe:
        """How the model is made again; a config works out again what follows from a change."""
        configs = [name for name, value in self.arguments.items() if is_config(value)]
        if len(configs) != 1:
            again = partial(self.again, {})
            return Recipe(self.made.__name__, again, built, plans, self.arguments, self.again)
        from vit_trace.targets.huggingface.configs import Configured, given_of

        own = self.arguments[configs[0]]

        def make(config: Any) -> object:
            config._attn_implementation = getattr(own, "_attn_implementation", None)  # no field: it is chosen once
            return self.again({(configs[0],): config})

        return Configured(own, given_of(own), make).recipe(self.made.__name__, built, plans)


def _calls(model: nn.Module) -> Iterator[_Call]:
    """What its constructor may have been given, the likeliest first.

    What the model does not keep is what its parts keep under the same name, how many equal blocks there are for a
    count of layers, or the default.
    """
    defaults = _defaults(type(model))
    attributes = {**vars(model), **_noted(model)}
    own = {name: held for name in defaults if _is_plain(held := attributes.get(name, _ABSENT))}
    inner = {name: held for name in defaults if (held := _in_parts(model, name)) is not _ABSENT}
    tried: list[dict[str, Any]] = []
    for more in (inner, {**inner, **_depths(model, defaults)}, {}):
        found = {**more, **own}
        arguments = {**defaults, **found}
        if _ABSENT not in arguments.values() and arguments not in tried:
            tried.append(arguments)
            yield _Call(type(model), arguments, [name for name in found if not _same(found[name], defaults[name])], own)


def _noted(model: nn.Module) -> dict[str, Any]:
    """Arguments of the constructor that were noted as such: by Lightning as hparams, by diffusers as config."""
    held = [getattr(model, name, None) for name in ("config", "hparams")]
    return {str(name): value for one in held if isinstance(one, Mapping) for name, value in one.items()}


def _defaults(made: type) -> dict[str, Any]:
    """The parameters of its constructor with their defaults, and of those around it that it hands arguments on to."""
    found: dict[str, Any] = {}
    for one in made.__mro__:
        if "__init__" not in vars(one):
            continue
        parameters = [*(signature_of(vars(one)["__init__"]) or {}).values()][1:]
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        found |= {
            each.name: each.default for each in parameters if each.kind not in variable and each.name not in found
        }
        if inspect.Parameter.VAR_KEYWORD not in {each.kind for each in parameters}:
            break
    return found


def _same(value: object, default: object) -> bool:
    return value is default or (type(value) is type(default) and isinstance(value, PLAIN_VALUES) and value == default)


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


def _depths(model: nn.Module, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that count layers: how many blocks of one class there are, or how many in each stage."""
    count, blocks = _blocks(model)
    stages = [_blocks(block)[0] for block in blocks]
    names = [name for name in defaults if name in SETTINGS["depth"] and count]
    several = {name for name in names if isinstance(defaults[name], (tuple, list))}
    return {name: tuple(stages) if name in several else count for name in names}


def _blocks(model: nn.Module) -> tuple[int, Sequence[nn.Module]]:
    """The list of blocks that hold most parameters: how many of them have one class, and all of them."""
    from torch import nn

    lists = [part for part in model.modules() if isinstance(part, (nn.ModuleList, nn.Sequential))]
    blocks = [[child for child in part if any(True for _ in child.children())] for part in lists]
    held = max(blocks, key=lambda one: sum(each.numel() for block in one for each in block.parameters()), default=[])
    kinds = [type(block) for block in held]
    return max(map(kinds.count, kinds), default=0), held


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
