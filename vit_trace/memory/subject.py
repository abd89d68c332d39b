"""A target made ready to be measured at any batch: its model without memory, at a precision, on the first device that
carries it. Whatever the model raises is raised as `Unmeasured` with its words.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from vit_trace.memory.blocks import blocks, checkpointed
from vit_trace.memory.casts import Casts, cuda
from vit_trace.memory.functions import Functions
from vit_trace.memory.options import Precision
from vit_trace.memory.step import NoGradient, heard
from vit_trace.memory.tape import Tape
from vit_trace.record.build.anyhow import build_anyhow, build_on_cpu, change, moved
from vit_trace.record.build.lean import Lean
from vit_trace.targets.inputs import Inputs
from vit_trace.targets.target import Target


class Unmeasured(Exception):
    """The training step could not be run without memory; says why."""


class Subject:
    """One target at one precision. `tape` runs a step at a batch; the model is built once."""

    def __init__(self, target: Target, precision: Precision) -> None:
        self.target, self.precision = target, precision
        self.model: nn.Module | None = None
        self.run: Callable[[Inputs, int, bool], Tape] | None = None
        self.feed = 0

    def tape(self, batch: int | None, checkpointing: bool) -> Tape:
        """One step at a batch; None is the target's own. Raises Unmeasured."""
        feeds = self.target.fed(batch)
        if self.run is not None:
            return self.tried(self.run, feeds[self.feed](), batch or 0, checkpointing)
        first: Exception | None = None
        for run in (self.on_meta, self.with_inputs, self.with_integers, self.under_fake):
            for place, feed in enumerate(feeds):
                try:
                    tape = self.tried(run, feed(), batch or 0, checkpointing)
                except Unmeasured as error:
                    first = first or error
                else:
                    self.run, self.feed = run, place
                    return tape
        raise first or Unmeasured("there is nothing to feed it")

    def tried(self, run: Callable[[Inputs, int, bool], Tape], fed: Inputs, batch: int, checkpointing: bool) -> Tape:
        try:
            return run(fed, batch, checkpointing)
        except NoGradient:
            raise Unmeasured("none of its outputs has a gradient") from None
        except Exception as error:
            raise Unmeasured(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}") from error

    # -- on what it runs -------------------------------------------------------------------------------------------

    def on_meta(self, fed: Inputs, batch: int, checkpointing: bool) -> Tape:
        fed = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), fed)
        return self.heard(self.built(), fed, batch, checkpointing)

    def with_inputs(self, fed: Inputs, batch: int, checkpointing: bool) -> Tape:
        """Inputs that are whole numbers keep their values, on CPU."""
        return self.heard(self.built(), fed, batch, checkpointing)

    def with_integers(self, fed: Inputs, batch: int, checkpointing: bool) -> Tape:
        """The model's own whole numbers keep their values too."""
        model = moved(build_on_cpu(self.target.build), keep_integers=True).model
        return self.heard(self.prepared(model), fed, batch, checkpointing)

    def under_fake(self, fed: Inputs, batch: int, checkpointing: bool) -> Tape:
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode(allow_non_fake_inputs=True) as fake:

            def faked(tensor: Tensor) -> Tensor:
                empty = (
                    torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype) if tensor.is_meta else None
                )
                return fake.from_tensor(tensor) if empty is None else empty

            model = self.prepared(build_on_cpu(self.target.build).model)
            for module in model.modules():
                change(module._parameters, fake.from_tensor)
                change(module._buffers, fake.from_tensor)
            return self.heard(model, tree_map_only(Tensor, faked, fed), batch, checkpointing)

    def recomputed(self) -> tuple[str, ...]:
        """Paths of the modules that checkpointing computes again."""
        return tuple(name for name, _ in blocks(self.built()))

    def built(self) -> nn.Module:
        """The model on meta, built once."""
        if self.model is None:
            self.model = self.prepared(built(self.target.build))
        return self.model

    def prepared(self, model: nn.Module) -> nn.Module:
        """In training mode, at the precision."""
        model.train()
        return narrowed(model) if self.precision == "bf16" else model

    def heard(self, model: nn.Module, fed: Inputs, batch: int, checkpointing: bool) -> Tape:
        args, kwargs = fed
        if self.precision == "bf16":
            args, kwargs = tree_map_only(Tensor, narrow, (args, kwargs))
        functions = Functions(Casts(cuda()) if self.precision == "bf16-mixed" else None)
        with ExitStack() as stack:
            stack.enter_context(checkpointed(model, functions.on) if checkpointing else nullcontext())
            return heard(model, args, kwargs, batch, functions.on)


def built(build: Callable[[], nn.Module]) -> nn.Module:
    """The model on meta, by the quickest way that carries it. Raises what the constructor raises."""
    try:
        with torch.device("meta"), Lean():
            return build()
    except Exception:
        return build_anyhow(build).model


def narrow(tensor: Tensor) -> Tensor:
    """The tensor in bfloat16, if it is of a floating dtype."""
    if not tensor.is_floating_point():
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=torch.bfloat16, device=tensor.device)


def narrowed(model: nn.Module) -> nn.Module:
    """The model as model.to(torch.bfloat16) leaves it; ties between parameters stay."""
    done: dict[int, Tensor] = {}

    def convert(tensor: Tensor) -> Tensor:
        if id(tensor) not in done:
            bare = narrow(tensor.detach())
            done[id(tensor)] = nn.Parameter(bare, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare
        return done[id(tensor)]

    for module in model.modules():
        change(module._parameters, convert)
        change(module._buffers, convert)
    return model
