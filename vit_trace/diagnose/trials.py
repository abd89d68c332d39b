"""Tries a change on the model built or copied anew without memory: nothing of the user's is touched.

A change is data (a Remedy without its output), so that who reads it can apply it too.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vit_trace.base.trace import Remedy, TensorSpec, Trace, Value
from vit_trace.base.words import shape_text

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vit_trace.targets.target import Target

SECONDS = 4.0
MOST = 60
"""How long and how often is tried after one failure."""

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass
class Case:
    """How to make the failing model again and feed it again, on meta.

    `variant` gives the case at other hyperparameters; `words` says how a user sets them.
    """

    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    variant: Callable[[Mapping[str, Value]], Case] | None = None
    words: Callable[[str, Value], str] = lambda name, value: f"{name}={value}"
    expected: tuple[int, ...] | None = None
    rules: bool = True
    until: float = 0.0
    left: int = MOST
    cache: dict[str, Trace | None] = field(default_factory=dict)

    def start(self) -> None:
        self.until = time.perf_counter() + SECONDS

    @property
    def spent(self) -> bool:
        return self.left <= 0 or time.perf_counter() > self.until

    def attempt(self, remedy: Remedy) -> Remedy | None:
        """The remedy with the output it gave; None where it does not run, or no time is left."""
        key = key_of(remedy)
        if key not in self.cache:
            if self.spent:
                return None
            self.left -= 1
            self.cache[key] = self.trial(remedy)
        trace = self.cache[key]
        if trace is None or trace.failure is not None or not trace.outputs or loses_pixels(trace):
            return None
        return Remedy(remedy.change, remedy.kind, remedy.values, output_text(trace.outputs))

    def outcome(self, remedy: Remedy) -> Trace | None:
        """The trace that a change led to, once it was tried."""
        return self.cache.get(key_of(remedy))

    def trial(self, remedy: Remedy) -> Trace | None:
        """The trace once the remedy is applied; None where that breaks."""
        try:
            case = self
            values = remedy.values if remedy.kind == "hyperparameter" else remedy.values.get("hyperparameters")
            if isinstance(values, dict):
                if self.variant is None:
                    return None
                case = self.variant(values)
            return case.run(remedy)
        except Exception:  # a change that cannot be made is none to offer
            return None

    def run(self, remedy: Remedy | None = None) -> Trace:
        from vit_trace.diagnose.refusals import refused
        from vit_trace.record.amended import amended
        from vit_trace.record.record import record

        model = self.copy if remedy is None or remedy.kind in ("input", "call") else self.model()
        args, kwargs = self.inputs()
        if remedy is not None:
            apply_to_model(model, remedy)
            args, kwargs = apply_to_inputs(remedy, args, kwargs)
        with amended(remedy, model):
            return refused(record(model, args, kwargs, rules=self.rules))

    @cached_property
    def copy(self) -> nn.Module:
        """A model that no trial changes."""
        return self.model()

    def model(self) -> nn.Module:
        from vit_trace.record.build.anyhow import build_anyhow

        return build_anyhow(self.build, self.rules).model

    def again(self, failed: Trace) -> Repeat:
        """The failing forward once more without memory: whether it fails there too, and what made each tensor."""
        from vit_trace.diagnose.refusals import refused
        from vit_trace.record.flow import FlowRecorder
        from vit_trace.record.record import record

        try:
            args, kwargs = self.inputs()
            listeners: list[FlowRecorder] = []
            again = refused(record(self.copy, args, kwargs, rules=self.rules, listener=flow(listeners)))
        except Exception:
            return Repeat(fails=True)
        count = len(failed.stages)
        same = [stage.name for stage in again.stages[:count]] == [stage.name for stage in failed.stages]
        return Repeat(again.failure is not None, listeners[0].sources if same and listeners else None)


@dataclass(frozen=True)
class Repeat:
    """What came of running a failing forward again on meta.

    It `fails` where shapes and dtypes are the reason; where values or devices are, it runs. `sources` is None where it
    did not go the same way.
    """

    fails: bool
    sources: Mapping[int, tuple[int | str | None, ...]] | None = None


def key_of(remedy: Remedy) -> str:
    return f"{remedy.kind} {remedy.values}"


def loses_pixels(trace: Trace) -> bool:
    """Whether it runs by leaving out the edge of the image: no remedy."""
    from vit_trace.diagnose.pixels import dropping_embeddings

    return any(dropping_embeddings(trace))


def flow(listeners: list[Any]) -> Callable[..., Any]:
    """Makes a FlowRecorder that is remembered."""
    from vit_trace.record.flow import FlowRecorder

    def make(*args: Any) -> FlowRecorder:
        recorder = FlowRecorder(*args)
        listeners.append(recorder)
        return recorder

    return make


def output_text(outputs: tuple[TensorSpec, ...]) -> str:
    """2×20; the first of several with how many there are."""
    first = shape_text(outputs[0].shape)
    return first if len(outputs) == 1 else f"{first} and {len(outputs) - 1} more"


def case_of_target(target: Target, rules: bool = True) -> Case:
    """The case of something that can be built by its hyperparameters."""
    variant = target.variant
    again = None
    if variant is not None:

        def again(values: Mapping[str, Value]) -> Case:
            return case_of_target(variant(values), rules)

    return Case(
        build=target.build,
        inputs=target.inputs,
        hyperparameters=target.hyperparameters,
        variant=again,
        words=target.words,
        expected=target.expected,
        rules=rules,
    )


def case_of_model(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Case:
    """The case of a caller's own model: copies of it on meta, made one by one."""
    return Case(lambda: on_meta(model), lambda: (meta_tensors(args), dict(meta_tensors(kwargs))))


def on_meta(model: nn.Module) -> nn.Module:
    """A copy whose parameters and buffers are on meta: no value is copied, nothing is shared."""
    import torch
    from torch import nn

    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        bare = torch.empty_like(parameter, device="meta", requires_grad=False)
        memo[id(parameter)] = nn.Parameter(bare, parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo)


def meta_tensors(value: Any) -> Any:
    """The same nested value with its tensors on meta."""
    import torch
    from torch.utils._pytree import tree_map_only

    return tree_map_only(torch.Tensor, lambda tensor: torch.empty_like(tensor, device="meta"), value)


# -- changes -------------------------------------------------------------------------------------------------------


def apply_to_inputs(remedy: Remedy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Inputs:
    """The inputs with the first tensor among them changed."""
    if remedy.kind != "input":
        return args, kwargs
    from torch import Tensor

    for place, value in enumerate(args):
        if isinstance(value, Tensor):
            return (*args[:place], changed(value, remedy.values), *args[place + 1 :]), kwargs
    for name, value in kwargs.items():
        if isinstance(value, Tensor):
            return args, {**kwargs, name: changed(value, remedy.values)}
    raise ValueError("no tensor is given")


def changed(tensor: Tensor, values: Mapping[str, Value]) -> Tensor:
    """The tensor after `steps` (methods with their arguments), in another `shape` or `dtype`."""
    import torch

    from vit_trace.record.amended import turned

    tensor = turned(tensor, values.get("steps", []))
    shape, dtype = values.get("shape"), values.get("dtype")
    if isinstance(shape, list):
        tensor = torch.empty(shape, dtype=tensor.dtype, device=tensor.device)
    return tensor.to(getattr(torch, str(dtype))) if dtype else tensor


def steps_of(values: Mapping[str, Value]) -> list[list[Value]]:
    """Methods of the input with their arguments."""
    steps = values.get("steps")
    return [step for step in steps if isinstance(step, list)] if isinstance(steps, list) else []


ATTRIBUTES = {
    ("Linear", 0): ("out_features",),
    ("Linear", 1): ("in_features",),
    ("Conv", 0): ("out_channels",),
    ("Conv", 1): ("in_channels",),
    ("BatchNorm", 0): ("num_features",),
    ("GroupNorm", 0): ("num_channels",),
    ("Embedding", 0): ("num_embeddings",),
    ("Embedding", 1): ("embedding_dim",),
}


def apply_to_model(model: nn.Module, remedy: Remedy) -> None:
    """Resize parameters, set attributes, convert the dtype: on a model that is nobody's but ours."""
    import torch

    if remedy.kind == "parameter":
        for name, shape in remedy.values.items():
            if isinstance(shape, list):
                resize(model, name, tuple(int(str(size)) for size in shape))
            else:
                set_attribute(model, name, shape)
    elif remedy.kind == "attribute":
        for name, value in remedy.values.items():
            set_attribute(model, name, value)
    elif remedy.kind == "model":
        model.to(getattr(torch, str(remedy.values["dtype"])))


def set_attribute(model: nn.Module, name: str, value: Value) -> None:
    path, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(path), attribute, value)


def resize(model: nn.Module, name: str, shape: tuple[int, ...]) -> None:
    """Give a parameter or buffer another shape, and its module the attributes that say so."""
    import torch
    from torch import nn

    path, _, attribute = name.rpartition(".")
    module = model.get_submodule(path)
    held: dict[str, Any] = module._parameters if attribute in module._parameters else module._buffers
    old: Tensor = held[attribute]
    bare = torch.empty(shape, dtype=old.dtype, device=old.device)
    held[attribute] = nn.Parameter(bare, old.requires_grad) if isinstance(old, nn.Parameter) else bare
    kind = type(module).__name__
    for (start, axis), attributes in ATTRIBUTES.items():
        axis = 1 - axis if kind.startswith("ConvTranspose") else axis
        if attribute == "weight" and kind.startswith(start) and axis < len(shape):
            for each in attributes:
                setattr(module, each, shape[axis])
    if attribute == "weight" and hasattr(module, "normalized_shape"):
        setattr(module, "normalized_shape", shape)  # noqa: B010  # a module's attributes are tensors to mypy
