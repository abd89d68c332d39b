"""Runs steps of a target without memory, at any batch: forward, the sum of the outputs as loss, backward.

The model has a precision and runs on the first rung that can run it. Whatever it raises is raised as `Unmeasured` with
its words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property, partial, reduce
from itertools import product
from operator import add
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from vit_trace.base.refused import Refused, refuse
from vit_trace.memory.blocks import blocks, checkpointed
from vit_trace.memory.cuda import HOPPER, Card, CudaAttention, drop, workspaces
from vit_trace.memory.functions import Casts, Functions, cuda
from vit_trace.memory.kernels import Kernels
from vit_trace.memory.meter import NONE, Meter, Where, Workspaces
from vit_trace.memory.options import Lora, Training
from vit_trace.memory.states import Trained
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
    """One target as it is trained. `tape` runs a step at a batch; the model is built once."""

    def __init__(self, target: Target, training: Training, card: Card = HOPPER) -> None:
        self.target, self.training, self.card = target, training, card
        self.ways: list[tuple[Rung, int, bool]] = []

    def tape(self, batch: int | None, training: Training) -> Tape:
        """One step at a batch; None is the target's own. Raises Unmeasured, and Refused for what the model has not.

        Args:
            training: the run, with the same model.
        """
        feeds = self.target.fed(batch)
        first: Exception | None = None
        for way in self.ways or product(WITHOUT_MEMORY, range(len(feeds)), (True, False)):
            rung, place, truth = way
            try:
                tape = self.tried(rung, feeds[place](), StepSetting(training, batch or 0, truth))
            except Unmeasured as error:
                first = first or error
            else:
                self.ways = [way]
                return tape
        raise first or Unmeasured("there is nothing to feed it")

    def tried(self, rung: Rung, fed: Inputs, setting: StepSetting) -> Tape:
        """One step on a rung. Raises Unmeasured."""
        functions = _functions(setting.training, self.card)
        functions.truth = setting.truth
        try:
            with rung.ready(self.runnable, fed) as ready:
                return self.heard(ready, setting, functions)
        except _NoGradient:
            raise Unmeasured("none of its outputs has a gradient") from None
        except Refused:
            raise
        except Exception as error:
            if not setting.truth and not functions.guesses:
                raise Unmeasured("no condition on values to guess") from error
            raise Unmeasured(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}") from error

    def recomputed(self, training: Training) -> tuple[str, ...]:
        """Paths of the modules that checkpointing computes again."""
        return tuple(name for name, _ in blocks(self.runnable.model, training.checkpoint_every))

    @cached_property
    def runnable(self) -> Runnable:
        """The model on meta, built once. Raises Refused for what it has not."""
        return Runnable(build_anyhow(self.make).model, self.make)

    def make(self) -> nn.Module:
        """The model as it is trained: what is frozen, its adapters, its precision. Raises Refused."""
        model = self.target.build()
        model.train(not self.training.inference)
        if self.training.lora is not None:
            model = with_lora(model, self.training.lora)
        freeze(model, self.training.freeze)
        if self.training.precision == "bf16":
            _narrow_model(model)
        return model

    def heard(self, ready: Ready, setting: StepSetting, functions: Functions) -> Tape:
        model, args, kwargs = ready
        training = setting.training
        if training.precision == "bf16":
            args, kwargs = tree_map_only(Tensor, _narrow, (args, kwargs))
        again = checkpointed(model, functions.on, training.checkpoint_every)
        with again if training.checkpointing else nullcontext():
            way = Way(
                around=functions.on,
                workspaces=workspaces(self.card) if training.device == "cuda" else NONE,
                gradients=training.accumulate > 1,
                forward_only=training.inference,
            )
            return run_step(model, (args, kwargs), setting.batch, way)


class StepSetting(NamedTuple):
    """A run at a batch, and what a condition on values counts as."""

    training: Training
    batch: int
    truth: bool


def _functions(training: Training, card: Card) -> Functions:
    """What the model's functions are on the device and at the precision."""
    lower = {"bf16-mixed": torch.bfloat16, "fp16-mixed": torch.float16}.get(training.precision)
    casts = Casts(cuda(), lower) if lower is not None else None
    if training.device == "cpu":
        return Functions(casts)
    attend = CudaAttention(training.attention, card)
    return Functions(casts, {F.scaled_dot_product_attention: attend, F.dropout: drop, torch.dropout: drop})


def freeze(model: nn.Module, globs: Iterable[str]) -> None:
    """Take the gradient from parameters whose name matches. Raises Refused for a glob that matches none."""
    names = [name for name, _ in model.named_parameters()]
    for glob in globs:
        matched = [name for name in names if fnmatchcase(name, glob)]
        if not matched:
            message = f"--freeze {glob}: no parameter of {type(model).__name__} has such a name"
            starts = dict.fromkeys(name.split(".")[0] for name in names)
            help = (f"--freeze '{start}*'" for start in _nearest(glob.split(".")[0], starts))
            raise refuse("bad-value", message, help=tuple(help))
        for name in matched:
            model.get_parameter(name).requires_grad_(False)


def _nearest(text: str, names: Iterable[str]) -> list[str]:
    """Names like the text, else some."""
    known = [*names]
    return get_close_matches(text, known, 3, 0.5) or known[:6]


def with_lora(model: nn.Module, lora: Lora) -> nn.Module:
    """The model with adapters by PEFT, all else frozen. Raises Refused."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise refuse(
            "library-missing", "--lora needs peft, which is not installed", help=("pip install 'vit-trace[peft]'",)
        ) from None
    config = LoraConfig(r=lora.r, target_modules=[*lora.targets], modules_to_save=[*lora.save] or None)
    linear = (name for name, module in model.named_modules() if isinstance(module, nn.Linear))
    endings = dict.fromkeys(name.rsplit(".", 1)[-1] for name in linear)
    try:
        adapted: Any = get_peft_model(model, config)
    except ValueError as error:
        near = dict.fromkeys(_nearest(target, endings)[0] for target in lora.targets if endings)
        help = (f"--lora r={lora.r},targets={'+'.join(near)}",) if near else ()
        raise refuse("bad-value", f"--lora: {str(error).partition(chr(10))[0]}", help=help) from None
    bare: nn.Module = adapted.base_model.model
    return bare


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


class Way(NamedTuple):
    """How a step is run.

    `around` is a context for the forward, such as autocast; `rules`: compute kernels by rule where there is one;
    `workspaces`: those of the device, where it is a GPU; `gradients`: those of an earlier batch are there already.
    """

    around: Callable[[], Any] = nullcontext
    rules: bool = True
    workspaces: Workspaces = NONE
    gradients: bool = False
    forward_only: bool = False


def run_step(model: nn.Module, fed: Inputs, batch: int, way: Way = Way()) -> Tape:
    """The tape of one forward and backward, with the sum of the outputs as loss. Raises what the model raises.

    Args:
        batch: images in the batch, for the tape.

    Raises:
        NoGradient: no output needs a gradient.
    """
    where = Where(model)
    meter = Meter(where, Kernels(way.rules), way.workspaces)
    for parameter, unit in _with_units(model):
        meter.add(parameter, "parameters")
        meter.own(parameter, "parameters", unit)
    meter.add_all(model.buffers(), "buffers")
    trained = [one for one in model.parameters() if one.requires_grad]
    with ExitStack() as stack:
        stack.callback(model.zero_grad)
        for parameter in trained if way.gradients else ():
            parameter.grad = torch.empty_like(parameter)
            meter.add(parameter.grad, "gradients")
        meter.add_all((leaf for leaf in tree_leaves(fed) if isinstance(leaf, Tensor)), "inputs")
        where.hook(stack)
        if way.forward_only:
            return _forward(model, fed, meter, way, batch)
        _own_gradients(model, meter, stack)
        stack.enter_context(torch.enable_grad())
        stack.enter_context(meter)
        with torch.autograd.graph.saved_tensors_hooks(meter.save, lambda tensor: tensor), way.around():
            args, kwargs = fed
            out = model(*args, **kwargs)
        loss = loss_of(out)
        loss.backward()  # type: ignore[no-untyped-call]
        held = (one for one in trained if one.grad is not None)
        tape = meter.tape(batch, (Trained(tuple(one.shape), one.element_size()) for one in held))
        del out, loss
    return tape


def _with_units(model: nn.Module) -> Iterator[tuple[nn.Parameter, str]]:
    """Parameters with the outermost repeated block that each belongs to, "" beside them."""
    held = [name for name, _ in blocks(model)]
    for name, parameter in model.named_parameters():
        yield parameter, next((unit for unit in held if name.startswith(f"{unit}.")), "")


def _own_gradients(model: nn.Module, meter: Meter, stack: ExitStack) -> None:
    """Tell the meter of gradients as soon as they are there."""

    def own(unit: str, parameter: Tensor) -> None:
        if parameter.grad is not None:
            meter.own(parameter.grad, "gradients", unit)

    for parameter, unit in _with_units(model):
        if parameter.requires_grad:
            hook = parameter.register_post_accumulate_grad_hook(partial(own, unit))  # type: ignore[no-untyped-call]
            stack.callback(hook.remove)


def _forward(model: nn.Module, fed: Inputs, meter: Meter, way: Way, batch: int) -> Tape:
    """The tape of a forward without gradients."""
    args, kwargs = fed
    with torch.no_grad(), meter, way.around():
        out = model(*args, **kwargs)
    tape = meter.tape(batch, ())
    del out
    return tape


def loss_of(out: Any) -> Tensor:
    """The sum of all outputs that need a gradient. Raises NoGradient."""
    leaves = tree_leaves(list(out.values()) if isinstance(out, dict) else out)
    outputs = (leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.requires_grad and leaf.is_floating_point())
    sums = [leaf.sum() for leaf in outputs]
    if not sums:
        raise _NoGradient
    return reduce(add, sums)
