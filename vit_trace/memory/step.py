"""Runs one training step without memory and records it: forward, the sum of the outputs as loss, backward."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from vit_trace.memory.kernels import Kernels
from vit_trace.memory.meter import Meter, Where
from vit_trace.memory.tape import Tape
from vit_trace.targets.inputs import Inputs


class NoGradient(Exception):
    """The model's output needs no gradient: there is nothing to train."""


def run_step(
    model: nn.Module, fed: Inputs, batch: int, around: Callable[[], Any] = nullcontext, rules: bool = True
) -> Tape:
    """The tape of one forward and backward in the model's mode.

    Args:
        fed: positional and keyword arguments of the forward.
        batch: images in the batch, for the tape.
        around: a context for the forward, such as autocast.
        rules: compute kernels by rule where there is one.

    Raises:
        NoGradient: no output needs a gradient; and whatever the model raises.
    """
    where = Where(model)
    meter = Meter(where, Kernels(rules))
    meter.add_all(model.parameters(), "parameters")
    meter.add_all(model.buffers(), "buffers")
    meter.add_all((leaf for leaf in tree_leaves(fed) if isinstance(leaf, Tensor)), "inputs")
    with ExitStack() as stack:
        stack.callback(drop_gradients, model)
        where.hook(stack)
        for parameter in model.parameters():
            if parameter.requires_grad:
                hook = parameter.register_post_accumulate_grad_hook(partial(mark_gradient, meter))  # type: ignore[no-untyped-call]
                stack.callback(hook.remove)
        stack.enter_context(torch.enable_grad())
        stack.enter_context(meter)
        with torch.autograd.graph.saved_tensors_hooks(meter.save, lambda tensor: tensor), around():
            args, kwargs = fed
            out = model(*args, **kwargs)
        loss = loss_of(out)
        loss.backward()  # type: ignore[no-untyped-call]
        tape = meter.tape(batch, trained(model))
        del out, loss
    return tape


def trained(model: nn.Module) -> int:
    """Bytes of the parameters that have a gradient."""
    held = (parameter for parameter in model.parameters() if parameter.grad is not None)
    return sum(parameter.numel() * parameter.element_size() for parameter in held)


def mark_gradient(meter: Meter, parameter: Tensor) -> None:
    if parameter.grad is not None:
        meter.set_kind(parameter.grad, "gradients")


def drop_gradients(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.grad = None


def loss_of(out: Any) -> Tensor:
    """The sum of all outputs that need a gradient. Raises NoGradient."""
    sums = [leaf.sum() for leaf in outputs(out) if leaf.requires_grad and leaf.is_floating_point()]
    if not sums:
        raise NoGradient
    result = sums[0]
    for one in sums[1:]:
        result = result + one
    return result


def outputs(out: Any) -> Iterable[Tensor]:
    """The tensors in a forward's result, however deep: in tuples, mappings, dataclasses."""
    values = list(out.values()) if isinstance(out, dict) else out
    return (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
