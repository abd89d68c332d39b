"""Runs training steps of a target without memory, at any batch: forward, the sum of the outputs as loss, backward.

The model has a precision and runs on the first rung that can run it. Whatever it raises is raised as `Unmeasured` with
its words.
"""

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from functools import cached_property, reduce
from itertools import product
from operator import add
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from vit_trace.memory.blocks import blocks, checkpointed
from vit_trace.memory.functions import Casts, Functions, cuda
from vit_trace.memory.kernels import Kernels
from vit_trace.memory.meter import Meter, Where
from vit_trace.memory.options import Precision
from vit_trace.memory.tape import Tape
from vit_trace.record.build.anyhow import build_anyhow, change_tensors
from vit_trace.record.rungs import RUNGS, Ready, Rung, Runnable
from vit_trace.targets.inputs import Inputs
from vit_trace.targets.target import Target

WITHOUT_MEMORY = [rung for rung in RUNGS if rung.device != "cpu"]


class Unmeasured(Exception):
    """The training step could not be run without memory; says why."""


class _NoGradient(Exception):
    """The model's output needs no gradient: there is nothing to train."""


class Subject:
    """One target at one precision. `tape` runs a step at a batch; the model is built once."""

    def __init__(self, target: Target, precision: Precision) -> None:
        self.target, self.precision = target, precision
        self.ways: list[tuple[Rung, int]] = []

    def tape(self, batch: int | None, checkpointing: bool) -> Tape:
        """One step at a batch; None is the target's own. Raises Unmeasured."""
        feeds = self.target.fed(batch)
        first: Exception | None = None
        for rung, place in self.ways or product(WITHOUT_MEMORY, range(len(feeds))):
            try:
                tape = self.tried(rung, feeds[place](), batch or 0, checkpointing)
            except Unmeasured as error:
                first = first or error
            else:
                self.ways = [(rung, place)]
                return tape
        raise first or Unmeasured("there is nothing to feed it")

    def tried(self, rung: Rung, fed: Inputs, batch: int, checkpointing: bool) -> Tape:
        """One step on a rung. Raises Unmeasured."""
        try:
            with rung.ready(self.runnable, fed) as ready:
                return self.heard(ready, batch, checkpointing)
        except _NoGradient:
            raise Unmeasured("none of its outputs has a gradient") from None
        except Exception as error:
            raise Unmeasured(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}") from error

    def recomputed(self) -> tuple[str, ...]:
        """Paths of the modules that checkpointing computes again."""
        return tuple(name for name, _ in blocks(self.runnable.model))

    @cached_property
    def runnable(self) -> Runnable:
        """The model on meta, built once."""
        return Runnable(build_anyhow(self.make).model, self.make)

    def make(self) -> nn.Module:
        """The model in training mode, at the precision."""
        model = self.target.build()
        model.train()
        if self.precision == "bf16":
            _narrow_model(model)
        return model

    def heard(self, ready: Ready, batch: int, checkpointing: bool) -> Tape:
        model, args, kwargs = ready
        if self.precision == "bf16":
            args, kwargs = tree_map_only(Tensor, _narrow, (args, kwargs))
        functions = Functions(Casts(cuda()) if self.precision == "bf16-mixed" else None)
        with checkpointed(model, functions.on) if checkpointing else nullcontext():
            return run_step(model, (args, kwargs), batch, functions.on)


def _narrow(tensor: Tensor) -> Tensor:
    """The tensor in bfloat16, if it is of a floating dtype."""
    if not tensor.is_floating_point():
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=torch.bfloat16, device=tensor.device)


def _narrow_model(model: nn.Module) -> None:
    """Convert a model as model.to(torch.bfloat16) does; ties between parameters stay."""
    done: dict[int, Tensor] = {}

    def convert(tensor: Tensor) -> Tensor:
        if id(tensor) not in done:
            bare = _narrow(tensor.detach())
            done[id(tensor)] = nn.Parameter(bare, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare
        return done[id(tensor)]

    change_tensors(model, convert)


def run_step(
    model: nn.Module, fed: Inputs, batch: int, around: Callable[[], Any] = nullcontext, rules: bool = True
) -> Tape:
    """The tape of one forward and backward, with the sum of the outputs as loss. Raises what the model raises.

    Args:
        batch: images in the batch, for the tape.
        around: a context for the forward, such as autocast.
        rules: compute kernels by rule where there is one.

    Raises:
        NoGradient: no output needs a gradient.
    """
    where = Where(model)
    meter = Meter(where, Kernels(rules))
    meter.add_all(model.parameters(), "parameters")
    meter.add_all(model.buffers(), "buffers")
    meter.add_all((leaf for leaf in tree_leaves(fed) if isinstance(leaf, Tensor)), "inputs")
    with ExitStack() as stack:
        stack.callback(model.zero_grad)
        where.hook(stack)
        for parameter in model.parameters():
            if parameter.requires_grad:
                hook = parameter.register_post_accumulate_grad_hook(lambda held: meter.set_kind(held.grad, "gradients"))  # type: ignore[no-untyped-call]
                stack.callback(hook.remove)
        stack.enter_context(torch.enable_grad())
        stack.enter_context(meter)
        with torch.autograd.graph.saved_tensors_hooks(meter.save, lambda tensor: tensor), around():
            args, kwargs = fed
            out = model(*args, **kwargs)
        loss = loss_of(out)
        loss.backward()  # type: ignore[no-untyped-call]
        held = (parameter for parameter in model.parameters() if parameter.grad is not None)
        tape = meter.tape(batch, sum(parameter.numel() * parameter.element_size() for parameter in held))
        del out, loss
    return tape


def loss_of(out: Any) -> Tensor:
    """The sum of all outputs that need a gradient. Raises NoGradient."""
    leaves = tree_leaves(list(out.values()) if isinstance(out, dict) else out)
    outputs = (leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.requires_grad and leaf.is_floating_point())
    sums = [leaf.sum() for leaf in outputs]
    if not sums:
        raise _NoGradient
    return reduce(add, sums)
