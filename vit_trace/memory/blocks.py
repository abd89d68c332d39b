"""Finds the modules that activation checkpointing computes again in backward, in any model.

A block is one of several equal neighbours in a ModuleList or Sequential: of one class, with parameters of the same
names and shapes. Where a block is itself only a list, its modules are the blocks. Outer blocks come before inner ones.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache, partial
from itertools import groupby, islice
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

LISTS = (nn.ModuleList, nn.ModuleDict)
"""Containers that are not called themselves."""


def blocks(model: nn.Module, every: int = 1) -> Iterator[tuple[str, nn.Module]]:
    """(path, module) of all that checkpointing wraps, in the model's order; of every n-th block."""
    for path, block in islice(_repeated(model), 0, None, every):
        yield from _called(block, path)


def _repeated(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """(path, block), also of blocks that are lists."""
    children = [(f"{path}.{name}" if path else name, child) for name, child in module.named_children()]
    if not isinstance(module, (*LISTS, nn.Sequential)):
        for name, child in children:
            yield from _repeated(child, name)
        return
    alike = groupby(children, lambda one: (type(one[1]), [(name, p.shape) for name, p in one[1].named_parameters()]))
    for _, group in alike:
        members = list(group)
        repeated = len(members) > 1 and any(members[0][1].children())
        for name, child in members:
            yield from [(name, child)] if repeated else _repeated(child, name)


def _called(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """The module if it can be called, else those in it that have parameters."""
    if not isinstance(module, LISTS):
        yield path, module
        return
    for name, child in module.named_children():
        if any(True for _ in child.parameters()):
            yield from _called(child, f"{path}.{name}")


@cache
def _first_done() -> None:
    """The first call in a process imports torch's compiler, and keeps its arguments alive."""
    x = torch.zeros((), requires_grad=True)
    torch.autograd.backward(checkpoint(torch.neg, x, use_reentrant=False))


@contextmanager
def checkpointed(model: nn.Module, around: Callable[[], AbstractContextManager[Any]], every: int = 1) -> Iterator[None]:
    """Compute every n-th block again in backward, as torch.utils.checkpoint does with use_reentrant=False.

    Args:
        around: what a forward runs under, needed again when a block is computed in backward.
    """
    _first_done()
    with ExitStack() as stack:
        for _, module in [*blocks(model, every)]:
            stack.callback(vars(module).update, {name: own for name, own in vars(module).items() if name == "forward"})
            module.forward = _again(module.forward, around)
            stack.callback(vars(module).pop, "forward")
        yield


def _again(forward: Callable[..., Any], around: Callable[[], AbstractContextManager[Any]]) -> Callable[..., Any]:
    def within(*args: Any, **kwargs: Any) -> Any:
        with around():
            return forward(*args, **kwargs)

    return partial(checkpoint, within, use_reentrant=False)
