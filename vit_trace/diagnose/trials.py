"""Tries changes on a model built or copied without memory: nothing of the user's is touched."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vit_trace.base.trace import Trace, Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.changes.records import (
    Fix,
    InputChange,
    Inputs,
    SettingChange,
    Tried,
    first_tensor,
    twice_the_batch,
)
from vit_trace.diagnose.pixels import dropping_embeddings

if TYPE_CHECKING:
    from torch import nn

    from vit_trace.mixing.measure import Measured
    from vit_trace.record.source.makers import Maker, Makers
    from vit_trace.targets.target import Sample, Target

TRIALS = 60
"""Changes tried after one failure; no further one is tried then, and a note says so."""

WORK = 24_000
"""Stages traced by all trials after one failure, about 3 s of CPU; no further change is tried then, and a note says so.

A module that is built counts as BUILT stages, one that is copied as COPIED.
"""

BUILT = 4
COPIED = 2

KEPT_WITHIN = 3
"""Containers within containers that are searched for tensors that a module keeps, such as a list of features."""


@dataclass
class Case:
    """How to make the failing model again and feed it again, on meta; counts what its trials cost.

    `build` gives a model on meta that nothing else runs; `variant` gives the case at other hyperparameters; `words`
    says how a user sets them. Forwards run `around` a context, in training mode (None: each module as it is); `copied`
    copies the model.
    """

    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    variant: Callable[[Mapping[str, Value]], Case] | None = None
    words: Callable[[str, Value], str] = lambda name, value: f"{name}={value}"
    expected: tuple[int, ...] | None = None
    rules: bool = True
    samples: Callable[[], Sequence[Sample]] = tuple
    train: bool | None = False
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    copied: Callable[[nn.Module], nn.Module] = lambda model: copy_on_meta(model)
    trials: int = 0
    work: int = 0
    stopped: bool = False
    cache: dict[str, Trace | None] = field(default_factory=dict)

    def shortfall(self) -> Iterator[str]:
        """A note where the budget ended the search."""
        if self.stopped:
            yield f"stopped after {self.trials} trial{'s' * (self.trials != 1)}: more fixes may exist"

    def setting(self, values: Mapping[str, Value]) -> SettingChange:
        """Other hyperparameters, as a user sets them."""
        return SettingChange(" ".join(self.words(name, value) for name, value in values.items()), settings=values)

    def attempt(self, change: Fix) -> Tried | None:
        """The change with the output it gave; None where it does not run, or the budget is spent."""
        if change.key not in self.cache:
            if self.trials >= TRIALS or self.work >= WORK:
                self.stopped = True
                return None
            self.trials += 1
            self.cache[change.key] = self.trial(change)
        trace = self.cache[change.key]
        if trace is None or trace.failure is not None or not trace.outputs:
            return None
        if any(dropping_embeddings(trace)):  # it runs, but leaves out the edge of the image
            return None
        more = f" and {len(trace.outputs) - 1} more" if len(trace.outputs) > 1 else ""
        return Tried(change, shape_text(trace.outputs[0].shape) + more)

    def outcome(self, change: Fix) -> Trace | None:
        """The trace that a change led to, once it was tried."""
        return self.cache.get(change.key)

    def own(self) -> Trace | None:
        """The trace of the model at the input that it was made for; None where that is not known."""
        given = first_tensor(self.inputs())
        if self.expected is None or given is None:
            return None
        change = InputChange.sized((given.shape[0], *self.expected[1:]))
        if change.key not in self.cache:
            self.cache[change.key] = self.trial(change)
        return self.cache[change.key]

    def twice(self, change: Fix) -> Trace | None:
        """The trace with the change applied and with twice as many images; None where that cannot be told."""
        key = f"twice {change.key}"
        if key not in self.cache:
            given = first_tensor(self.inputs())
            batch = given.shape[0] if given is not None and given.ndim else 0
            self.cache[key] = self.trial(change.for_batch(batch, 2 * batch), twice_the_batch)
        return self.cache[key]

    def trial(self, change: Fix, more: Callable[[Inputs], Inputs] = lambda given: given) -> Trace | None:
        """The trace with the change applied, of inputs with `more` done to them; None where that breaks."""
        if change.settings and self.variant is None:
            return None
        try:
            modules = sum(1 for _ in self.pristine.modules())
            self.work += modules * (BUILT if change.settings else COPIED if change.alters else 0)
            case = self.variant(change.settings) if change.settings and self.variant is not None else self
            trace = case.run(change, more)
        except Exception:  # a change that cannot be made is none to offer
            return None
        self.work += len(trace.stages)
        return trace

    def run(self, change: Fix, more: Callable[[Inputs], Inputs] = lambda given: given) -> Trace:
        """The trace with the change applied. Raises what making or applying it raises."""
        from vit_trace.record.rungs import mixed

        model = self.copied(self.pristine) if change.alters else self.model
        if change.alters and model is self.pristine:
            raise TypeError("a program cannot be altered")
        for module in model.modules():  # nested tensors have no shapes on meta; without them the result is the same
            if getattr(module, "use_nested_tensor", False):
                setattr(module, "use_nested_tensor", False)  # noqa: B010
        change.to_model(model)
        with change.during(model), mixed():
            return self.traced(model, more(change.to_inputs(self.inputs())), rules=self.rules and not change.heard)

    def traced(self, model: nn.Module, given: Inputs, makers: Makers | None = None, rules: bool | None = None) -> Trace:
        """The trace of one forward on meta."""
        from vit_trace.record.record import RecordOptions, record

        args, kwargs = self.fitted(given)
        options = RecordOptions(rules=self.rules if rules is None else rules, makers=makers, train=self.train)
        with self.around():
            return record(model, args, kwargs, options)

    def fitted(self, given: Inputs) -> Inputs:
        """The inputs on meta, or with values where the model holds a program, which has to be run for real."""
        from vit_trace.record.build.captured import holds_fixed_program
        from vit_trace.record.rungs import filled_inputs

        return filled_inputs(given) if holds_fixed_program(self.pristine) else given

    @cached_property
    def pristine(self) -> nn.Module:
        """A model that is only copied: a forward may leave caches in a model, which hide steps from the next one."""
        return self.build()

    @cached_property
    def model(self) -> nn.Module:
        """A model that no trial alters."""
        return self.copied(self.pristine)

    @cached_property
    def measured(self) -> Measured | None:
        """What a small copy of the model, run for real, shows of what depends on what."""
        from vit_trace.mixing.measure import measure

        return measure(self.samples())

    def again(self, failed: Trace) -> _Repeat:
        """The failing forward once more without memory: whether it fails there too, and what made each tensor."""
        from vit_trace.record.source.makers import Makers

        makers = Makers()
        try:
            again = self.traced(self.model, self.inputs(), makers)
        except Exception:
            return _Repeat(fails=True)
        count = len(failed.stages)
        same = [stage.name for stage in again.stages[:count]] == [stage.name for stage in failed.stages]
        return _Repeat(again.failure is not None, makers.inputs if same else None)


@dataclass(frozen=True)
class _Repeat:
    """What came of running a failing forward again on meta.

    It `fails` where shapes and dtypes are the reason; where values or devices are, it runs. `sources` is None where it
    did not go the same way.
    """

    fails: bool
    sources: Mapping[int, tuple[Maker | None, ...]] | None = None


def case_of_target(target: Target, rules: bool = True, unused: bool = False) -> Case:
    """The case of something that can be built by its hyperparameters; `unused`, if nothing has run its model yet."""
    variant = target.variant
    again = (lambda values: case_of_target(variant(values), rules, unused=True)) if variant is not None else None

    def build() -> nn.Module:
        from vit_trace.record.build.anyhow import build_anyhow
        from vit_trace.record.build.captured import holds_fixed_program

        built = target.foreign.built.model if target.foreign is not None else None
        if built is not None and (unused or holds_fixed_program(built)):  # a program is slow to be captured again
            return built
        return build_anyhow(target.build, rules).model

    said = target.hyperparameters, again, target.words, target.expected
    return Case(build, target.inputs, *said, rules, target.samples)


def case_of_model(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Case:
    """The case of a caller's own model, tried on a copy on meta."""

    def inputs() -> Inputs:
        from vit_trace.record.rungs import move_inputs

        return move_inputs((args, dict(kwargs)), "meta")

    return Case(lambda: copy_on_meta(model), inputs)


def copy_on_meta(model: nn.Module, shared: Mapping[int, Any] | None = None) -> nn.Module:
    """A copy whose tensors are on meta: no value is copied; a model with a program as it is.

    Nothing is shared but the objects that are named by their identity.
    """
    import torch
    from torch import nn

    from vit_trace.record.build.captured import holds_fixed_program
    from vit_trace.record.meta.tensors import leaves

    if holds_fixed_program(model):  # its steps name their devices
        return model
    memo: dict[int, Any] = {**(shared or {})}
    for module in model.modules():
        for holder in (*module._parameters.values(), *module._buffers.values(), *vars(module).values()):
            for _, held in leaves(holder, depth=KEPT_WITHIN):
                bare = torch.empty_like(held, device="meta", requires_grad=False)
                memo[id(held)] = nn.Parameter(bare, held.requires_grad) if isinstance(held, nn.Parameter) else bare
    return copy.deepcopy(model, memo)
