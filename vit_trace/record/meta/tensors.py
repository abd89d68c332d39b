"""Notes tensors: one spec per tensor inside any value that a model passes around."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeGuard

import torch
from torch import Tensor

from vit_trace.base.trace import TensorSpec

NESTING = 12
"""Containers within containers that are followed; a value that holds itself ends here."""


SPECS: dict[tuple[str, tuple[int, ...], torch.dtype], TensorSpec] = {}
"""Specs by what they say: a model has few, and shares them between its stages."""

PLACES = tuple(f"[{place}]" for place in range(64))
ATOMS = frozenset((int, float, bool, str, type(None), slice, torch.dtype, torch.device, torch.Size, type(Ellipsis)))
"""Types of values that hold no tensor."""


@cache
def size_texts(shape: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(map(str, shape))


@cache
def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def spec(path: str, tensor: Tensor) -> TensorSpec:
    """What is noted of one tensor."""
    try:
        return SPECS[path, tensor.shape, tensor.dtype]
    except (KeyError, RuntimeError):  # not seen before, or a nested tensor, which has no shape
        shape, dtype = shape_of(tensor), tensor.dtype
        made = SPECS[path, shape, dtype] = TensorSpec(path, shape, size_texts(shape), dtype_name(dtype))
        return made


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """The tensor's shape; for a nested tensor the axes that all its parts share, -1 for the ragged ones."""
    try:
        shape = tuple(tensor.shape)
        if tensor.is_nested or type(sum(shape)) is not int:  # ragged sizes are no integers
            return tuple(size if type(size) is int else -1 for size in shape)
        return shape
    except RuntimeError:
        parts = [part.shape for part in tensor.unbind()]
        return (len(parts), *(sizes[0] if len(set(sizes)) == 1 else -1 for sizes in zip(*parts, strict=True)))


def specs(value: object) -> tuple[TensorSpec, ...]:
    """One spec per tensor inside a value."""
    if isinstance(value, Tensor):
        return (spec("", value),)
    if type(value) in ATOMS:
        return ()
    return tuple(spec(path, tensor) for path, tensor in leaves(value))


def argument_specs(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    """One spec per tensor among a call's arguments; a lone tensor that comes first has the path ""."""
    if not kwargs and len(args) == 1:
        return specs(args[0])
    found: list[tuple[str, Tensor]] = []
    places = PLACES if len(args) <= len(PLACES) else [f"[{place}]" for place in range(len(args))]
    for path, value in (*zip(places, args, strict=False), *kwargs.items()):
        if isinstance(value, Tensor):
            found.append((path, value))
        elif type(value) not in ATOMS:
            found.extend(leaves(value, path))
    if len(found) == 1 and found[0][0] == PLACES[0]:
        return (spec("", found[0][1]),)
    return tuple([spec(path, tensor) for path, tensor in found])


def leaves(value: object, path: str = "", depth: int = NESTING) -> Iterator[tuple[str, Tensor]]:
    """(path, tensor) for each tensor in nested tuples, lists, mappings and dataclasses, in their own order."""
    if isinstance(value, Tensor):
        yield path, value
    elif depth and value is not None:
        try:
            held = list(_children(value))
        except Exception:  # a container of the model's own, which may fail to say what it holds
            return
        for step, inner in held:
            yield from leaves(inner, path + step, depth - 1)


def _children(value: object) -> Iterator[tuple[str, object]]:
    """(step of the path, value) for what a container holds; nothing for anything else."""
    if is_dataclass(value) and not isinstance(value, type):  # before mappings: Hugging Face's ModelOutput is both
        yield from ((f".{field.name}", getattr(value, field.name, None)) for field in fields(value))
    elif isinstance(value, Mapping):
        yield from ((f"[{key!r}]", inner) for key, inner in value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from ((f".{name}", inner) for name, inner in zip(value._fields, value, strict=True))
    elif isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
        yield from ((f"[{place}]", inner) for place, inner in enumerate(value))


def are_sizes(value: object, most: int = 6) -> TypeGuard[tuple[int, ...]]:
    """Whether a value is a tuple of a few whole numbers."""
    return isinstance(value, tuple) and 0 < len(value) <= most and all(type(size) is int for size in value)


def attribute_of(owner: object, name: str) -> object:
    """An attribute, or a part of a module, found without running any code of the model; None where there is none."""
    held = getattr(owner, "__dict__", {})
    tables = (held, *(held.get(table) or {} for table in ("_parameters", "_buffers", "_modules")))
    return next((table[name] for table in tables if name in table), None)
