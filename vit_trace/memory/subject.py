"""Makes a target ready to be measured at any batch: its model without memory, at a precision, on the first rung that
can run it. Whatever the model raises is raised as `Unmeasured` with its words.
"""

from __future__ import annotations

from contextlib import ExitStack, nullcontext

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from vit_trace.memory.blocks import blocks, checkpointed
from vit_trace.memory.casts import Casts, cuda
from vit_trace.memory.functions import Functions
from vit_trace.memory.options import Precision
from vit_trace.memory.step import NoGradient, run_step
from vit_trace.memory.tape import Tape
from vit_trace.record.build.anyhow import build_anyhow, change_tensors
from vit_trace.record.rungs import RUNGS, Ready, Rung, Runnable
from vit_trace.targets.inputs import Inputs
from vit_trace.targets.target import Target

WITHOUT_MEMORY = [rung for rung in RUNGS if rung.device != "cpu"]


class Unmeasured(Exception):
    """The training step could not be run without memory; says why."""


class Subject:
    """One target at one precision. `tape` runs a step at a batch; the model is built once."""

    def __init__(self, target: Target, precision: Precision) -> None:
        self.target, self.precision = target, precision
        self.runnable: Runnable | None = None
        self.rung: Rung | None = None
        self.feed = 0

    def tape(self, batch: int | None, checkpointing: bool) -> Tape:
        """One step at a batch; None is the target's own. Raises Unmeasured."""
        feeds = self.target.fed(batch)
        if self.rung is not None:
            return self.tried(self.rung, feeds[self.feed](), batch or 0, checkpointing)
        first: Exception | None = None
        for rung in WITHOUT_MEMORY:
            for place, feed in enumerate(feeds):
                try:
                    tape = self.tried(rung, feed(), batch or 0, checkpointing)
                except Unmeasured as error:
                    first = first or error
                else:
                    self.rung, self.feed = rung, place
                    return tape
        raise first or Unmeasured("there is nothing to feed it")

    def tried(self, rung: Rung, fed: Inputs, batch: int, checkpointing: bool) -> Tape:
        """One step on a rung. Raises Unmeasured."""
        try:
            with rung.ready(self.built(), fed) as ready:
                return self.heard(ready, batch, checkpointing)
        except NoGradient:
            raise Unmeasured("none of its outputs has a gradient") from None
        except Exception as error:
            raise Unmeasured(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}") from error

    def recomputed(self) -> tuple[str, ...]:
        """Paths of the modules that checkpointing computes again."""
        return tuple(name for name, _ in blocks(self.built().model))

    def built(self) -> Runnable:
        """The model on meta, built once."""
        if self.runnable is None:
            self.runnable = Runnable(build_anyhow(self.make).model, self.make)
        return self.runnable

    def make(self) -> nn.Module:
        """The model in training mode, at the precision."""
        model = self.target.build()
        model.train()
        if self.precision == "bf16":
            narrow_model(model)
        return model

    def heard(self, ready: Ready, batch: int, checkpointing: bool) -> Tape:
        model, args, kwargs = ready
        if self.precision == "bf16":
            args, kwargs = tree_map_only(Tensor, narrow, (args, kwargs))
        functions = Functions(Casts(cuda()) if self.precision == "bf16-mixed" else None)
        with ExitStack() as stack:
            stack.enter_context(checkpointed(model, functions.on) if checkpointing else nullcontext())
            return run_step(model, (args, kwargs), batch, functions.on)


def narrow(tensor: Tensor) -> Tensor:
    """The tensor in bfloat16, if it is of a floating dtype."""
    if not tensor.is_floating_point():
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=torch.bfloat16, device=tensor.device)


def narrow_model(model: nn.Module) -> None:
    """Convert a model as model.to(torch.bfloat16) does; ties between parameters stay."""
    done: dict[int, Tensor] = {}

    def convert(tensor: Tensor) -> Tensor:
        if id(tensor) not in done:
            bare = narrow(tensor.detach())
            done[id(tensor)] = nn.Parameter(bare, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare
        return done[id(tensor)]

    change_tensors(model, convert)
