"""Applies changes: turns tensors, resizes parameters, sets attributes. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from vit_trace.base.trace import Value
from vit_trace.diagnose.changes.layers import size_attribute
from vit_trace.diagnose.changes.steps import Method, Shape

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


# -- tensors -------------------------------------------------------------------------------------------------------


def turn(tensor: Tensor, steps: Iterable[Method]) -> Tensor:
    """The tensor after methods with their arguments."""
    for step in steps:
        tensor = getattr(tensor, step.name)(*step.numbers)
    return tensor


def change_first(given: Inputs, change: Callable[[Tensor], Tensor], place: int = 0) -> Inputs:
    """The arguments with one tensor changed: the one that stands at a place among the tensors."""
    flat, tree = tree_flatten(given)
    tensors = [at for at, value in enumerate(flat) if isinstance(value, Tensor)]
    flat[tensors[place]] = change(flat[tensors[place]])
    args, kwargs = tree_unflatten(flat, tree)
    return args, kwargs


# -- modules -------------------------------------------------------------------------------------------------------


def set_attribute(model: nn.Module, name: str, value: Value) -> None:
    path, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(path), attribute, value)


def resize(model: nn.Module, name: str, shape: Shape) -> None:
    """Give a parameter or buffer another shape, and its module the attributes that hold its sizes."""
    path, _, attribute = name.rpartition(".")
    module = model.get_submodule(path)
    held: dict[str, Any] = module._parameters if attribute in module._parameters else module._buffers
    old: Tensor = held[attribute]
    bare = torch.empty(shape, dtype=old.dtype, device=old.device)
    held[attribute] = nn.Parameter(bare, old.requires_grad) if isinstance(old, nn.Parameter) else bare
    if attribute == "weight" and hasattr(module, "normalized_shape"):
        setattr(module, "normalized_shape", shape)  # noqa: B010  # a module's attributes are tensors to mypy
    elif attribute == "weight":
        for axis, size in enumerate(shape):
            if word := size_attribute(type(module).__name__, axis):
                setattr(module, word, size)


@contextmanager
def layers_given(model: nn.Module, paths: Sequence[str], steps: Sequence[Method]) -> Iterator[None]:
    """While it lasts, some layers are given their first input after methods."""
    with ExitStack() as stack:
        for path in paths:
            hook = model.get_submodule(path).register_forward_pre_hook(
                lambda _, args: (turn(args[0], steps), *args[1:])
            )
            stack.callback(hook.remove)
        yield
