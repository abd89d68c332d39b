"""Follows small tensors whose values are known although they are on meta: numbers that a model counts, its constants.

A known tensor carries its values on CPU. What is made of known tensors alone is made of their values too; views share
memory as the tensors themselves do. A change that was not followed leaves a tensor unknown: torch counts changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

MOST_VALUES, MOST_FLOATS = 1 << 16, 1 << 13
"""Elements of a tensor above which its values are not followed; floats are masks and weights more often than places."""

UNHEARD = torch._C.DisableTorchFunction
"""Hides our own questions to tensors from modes."""

_LENDING = frozenset(
    "zeros_like ones_like full_like new_zeros new_ones new_full new_tensor type_as to expand_as view_as".split()
)
"""Functions that read only the shape, dtype or device of one of their tensors."""

_CONVERTING = frozenset("to type_as expand_as view_as".split())
"""Those of them whose result has the values of the tensor that they are methods of: it has to be known."""

_CREATING = _LENDING | frozenset(
    "arange zeros ones full eye linspace logspace tensor as_tensor asarray scalar_tensor tril_indices"
    " triu_indices".split()
)
"""Functions that make a tensor whose values are always the same."""

READING = frozenset("__bool__ item tolist __int__ __index__ __float__ numpy __array__ __contains__".split())
"""Functions that give values of their tensor to Python."""

_HELD = "_values_on_meta"
"""The attribute of a known tensor that holds its values."""

_LOST = -1
"""The version of memory whose changes can no longer be counted."""

_dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
_transforms: Callable[[], Any] = torch._C._functorch.peek_interpreter_stack


@dataclass(slots=True)
class _Memory:
    """Memory that tensors share; `version` counts the changes of it that were followed, None after a copy."""

    version: int | None


@dataclass(slots=True)
class _Held:
    values: Tensor
    memory: _Memory

    def __deepcopy__(self, memo: object) -> _Held:
        return _Held(self.values.clone(), _Memory(None))


def known_values(tensor: Tensor) -> Tensor | None:
    """The values of a tensor on meta; None where they are not known. They are not to be changed."""
    held = getattr(tensor, _HELD, None)
    if held is None:
        return None
    with UNHEARD():
        if held.memory.version is None:
            held.memory.version = tensor._version
        same = held.memory.version == tensor._version and held.values.shape == tensor.shape
        return held.values if same and held.values.dtype is tensor.dtype else None


def note(tensor: Tensor, values: Tensor) -> None:
    """Notes the values of a tensor on meta, if they are few."""
    if _is_small(values):
        setattr(tensor, _HELD, _Held(values, _Memory(tensor._version)))


def _is_small(tensor: Tensor) -> bool:
    return tensor.numel() <= (MOST_FLOATS if tensor.dtype.is_floating_point else MOST_VALUES)


class Replay(NamedTuple):
    """A call of a function of known tensors: what it is given on meta, and the same with values."""

    func: Callable[..., Any]
    given: list[Tensor]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def note(self, out: Any) -> int:
        """Notes the values of `out`, what the function made on meta; how many. Raises what the values lead to."""
        with UNHEARD():
            made = _tensors(out)
            if not made and out is not None:  # None: of __setitem__
                return 0
            if not all(type(one) is Tensor and one.is_meta and _is_small(one) for one in made):
                return 0
            values = self.func(*self.args, **self.kwargs)
            for one in self.given:
                getattr(one, _HELD).memory.version = one._version
            if made:
                self._hold(made, _tensors(values))
            return sum(one.numel() for one in made)

    def _hold(self, made: list[Tensor], values: list[Tensor]) -> None:
        """Each result holds its values, and shares memory with what was given where these do."""
        held = {one.untyped_storage()._cdata: getattr(one, _HELD) for one in self.given}
        if [one.shape for one in made] != [one.shape for one in values]:
            return
        for one, own in zip(made, values, strict=True):
            source = held.get(one.untyped_storage()._cdata)
            storages = [each.values.untyped_storage()._cdata for each in ([source] if source else held.values())]
            if (own.untyped_storage()._cdata in storages) is (source is not None):
                setattr(one, _HELD, _Held(own, source.memory if source else _Memory(one._version)))


def replay_of(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Replay | None:
    """What a call can be followed by, before it runs on meta; None where its values are not known."""
    name = getattr(func, "__name__", "")
    if name not in _CREATING and not _any_known(args):
        return None
    if _dispatch_modes() or _transforms() is not None:
        return None
    with UNHEARD():
        if name == "__get__" and getattr(getattr(func, "__self__", None), "__name__", "") == "data":
            getattr(args[0], _HELD).memory.version = _LOST  # changes by way of `.data` are not counted
            return None
        given: list[Tensor] = []
        try:
            if name in _CONVERTING:
                _with_values(args[0], False, [])
            written = _blank(args[0]) if name == "copy_" else ()
            rest, named = _with_values((args[len(written) :], kwargs), name in _LENDING, given)
        except _NotKnownError:
            return None
        return Replay(func, given, (*written, *rest), named)


def _blank(tensor: Tensor) -> tuple[Tensor, ...]:
    """Memory for a small tensor whose values are not known, and are all written; () where they are known."""
    if type(tensor) is not Tensor or not tensor.is_meta or not _is_small(tensor) or known_values(tensor) is not None:
        return ()
    return (torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu"),)


def _any_known(args: Iterable[Any]) -> bool:
    """Whether values are held for one of the arguments, or for one in the tuples and lists among them."""
    for one in args:
        if type(one) in (tuple, list):
            if any(getattr(inner, _HELD, None) is not None for inner in one):
                return True
        elif getattr(one, _HELD, None) is not None:
            return True
    return False


def _tensors(value: Any) -> list[Tensor]:
    return [value] if type(value) is Tensor else [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


class _NotKnownError(Exception):
    """An argument has no values, or none that can be given once more."""


def _with_values(value: Any, lends: bool, given: list[Tensor]) -> Any:
    """An argument for the values: a tensor's own values, the CPU for meta. `given` gets the known tensors.

    Raises _NotKnownError for a tensor that is not known.
    """
    kind = type(value)
    if kind is Tensor:
        if not value.is_meta:
            return value
        values = known_values(value)
        if values is not None:
            given.append(value)
        elif lends:
            values = torch.empty_strided(value.shape, [0] * value.ndim, dtype=value.dtype, device="cpu")
        else:
            raise _NotKnownError
        return values
    if kind is tuple or kind is list:
        return kind([_with_values(one, lends, given) for one in value])
    if kind is dict:
        return {name: _with_values(one, lends, given) for name, one in value.items()}
    if kind is torch.device or (kind is str and value == "meta"):
        return torch.device("cpu")
    if kind is not torch.Size and isinstance(value, Tensor | torch.Generator | tuple | list | dict):
        raise _NotKnownError
    return value


def count_change(tensor: Tensor) -> None:
    """Counts a change of a known tensor that torch itself does not see, so that its values are known no longer."""
    if getattr(tensor, _HELD, None) is not None:
        torch._C._increment_version([tensor])


def read_values(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function of READING gives; NotImplemented where the values of its tensor are not known."""
    values = known_values(args[0]) if args and isinstance(args[0], Tensor) else None
    if values is None:
        return NotImplemented
    with UNHEARD():
        more = tree_map(lambda one: known_values(one) if isinstance(one, Tensor) and one.is_meta else one, args[1:])
        return func(values.clone(), *more, **kwargs)


def write_number(tensor: Any, place: Any, value: Any) -> bool:
    """`tensor[place] = value` of a known tensor, a number at a place of numbers, without a call on meta; True if done.

    Constructors write a table of their positions like this, one number after the other.
    """
    numbers = place if type(place) is tuple else (place,)
    if type(tensor) is not Tensor or type(value) not in (int, float) or any(type(one) is not int for one in numbers):
        return False
    values = known_values(tensor)
    if values is None or len(numbers) != values.ndim or _dispatch_modes() or _transforms() is not None:
        return False
    with UNHEARD():
        values[place] = value
        torch._C._increment_version([tensor])
        getattr(tensor, _HELD).memory.version = tensor._version
    return True
