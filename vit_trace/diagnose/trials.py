"""Tries changes on a model built or copied without memory: nothing of the user's is touched."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vit_trace.base.trace import TensorSpec, Trace, Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.changes.records import Change, Inputs, SettingChange, Tried

if TYPE_CHECKING:
    from torch import nn

    from vit_trace.targets.target import Target

SECONDS = 4.0
MOST = 60
"""How long and how often is tried after one failure."""


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

    def setting(self, values: Mapping[str, Value]) -> SettingChange:
        """Other hyperparameters, as a user sets them."""
        return SettingChange(" ".join(self.words(name, value) for name, value in values.items()), values)

    def attempt(self, change: Change) -> Tried | None:
        """The change with the output it gave; None where it does not run, or no time is left."""
        if change.key not in self.cache:
            if self.spent:
                return None
            self.left -= 1
            self.cache[change.key] = self.trial(change)
        trace = self.cache[change.key]
        if trace is None or trace.failure is not None or not trace.outputs or loses_pixels(trace):
            return None
        return Tried(change, output_text(trace.outputs))

    def outcome(self, change: Change) -> Trace | None:
        """The trace that a change led to, once it was tried."""
        return self.cache.get(change.key)

    def trial(self, change: Change) -> Trace | None:
        """The trace with the change applied; None where that breaks."""
        if change.settings and self.variant is None:
            return None
        try:
            case = self.variant(change.settings) if change.settings and self.variant is not None else self
            return case.run(change)
        except Exception:  # a change that cannot be made is none to offer
            return None

    def run(self, change: Change) -> Trace:
        from vit_trace.diagnose.refusals import refused
        from vit_trace.record.record import record

        model = self.model() if change.alters else self.copy
        change.to_model(model)
        args, kwargs = change.to_inputs(self.inputs())
        with change.during(model):
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
