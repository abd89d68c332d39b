"""Defines a target: a model that can be built with given hyperparameters and given an input. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vit_trace.base import trace as schema
from vit_trace.base.refused import Refused
from vit_trace.base.trace import Symbol, Trace, Value, Whole
from vit_trace.targets.complaints import build_first, silenced
from vit_trace.targets.inputs import Inputs, Plan
from vit_trace.targets.knobs import Changes, Knob

if TYPE_CHECKING:
    from torch import nn

    from vit_trace.record.build.anyhow import Built


def set_words(name: str, value: Value) -> str:
    """How a hyperparameter is set on the command line."""
    return f"--set {name}={value_words(value)}"


def argument_words(name: str, value: Value) -> str:
    """How a hyperparameter is given in a program."""
    return f"{name}={tuple(value) if isinstance(value, list) else value!r}"


def value_words(value: Value) -> str:
    """384, also for a pair of it; 384x512 or 96x96x96 for other lists."""
    if isinstance(value, list):
        pair = len(value) == 2 and str(value[0]) == str(value[1])
        return str(value[0]) if pair else "x".join(map(str, value))
    return str(value)


@dataclass(frozen=True)
class Sample:
    """A target at a setting at which it can be run with values: how to build it, how to feed it a batch.

    `flops` is what one forward at the target's own batch takes; 0 where it is small. `own` if nothing is changed;
    samples with the same `key` are the same. `lines` is what `lines_of` says of its own size.
    """

    build: Callable[[], object]
    inputs: Callable[[int], Inputs]
    flops: int = 0
    own: bool = False
    key: object = None
    lines: Mapping[tuple[str, int], int] = field(default_factory=dict, compare=False)


def lines_of(trace: Trace) -> Mapping[tuple[str, int], int]:
    """How many axes of what each line makes are longer than 1, at the most."""
    found: dict[tuple[str, int], int] = {}
    for one in trace.stages:
        place = (one.source.file, one.source.line) if one.source is not None else ("", 0)
        found[place] = max(found.get(place, 0), *(sum(size > 1 for size in made.shape) for made in one.outputs), 0)
    return found


@dataclass(frozen=True)
class Target:
    """The model of a spec.

    `build` and `inputs` may import torch; `inputs` gives the (args, kwargs) of forward, on the meta device. `probes`
    gives the same target at other settings; the last confirms what the others suggest. `branches` are known conditions
    under which it has other stages. `foreign` is the model of a library or of the user that the target stands for; None
    for the built-in ViT.

    `variant` is the target with some hyperparameters changed and all else the same, `words` how a user would say such
    a change; `expected` is the shape of the images that the model was made for; `arguments` are what somebody else's
    model was made of, under its library's names, whatever they hold. `batch` is how many images it is fed, None where
    that cannot be changed; `feeds` are the ways to feed it at another batch; the first that runs counts. `samples` are
    the target at small sizes, once it was traced.
    """

    spec: str
    class_name: str
    hyperparameters: Mapping[str, Value]
    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    symbols: Mapping[str, Symbol] = field(default_factory=dict)
    probes: Callable[[], Sequence[Target]] = tuple
    repeats: bool = False
    branches: tuple[dict[str, str], ...] = ()
    wholes: tuple[Whole, ...] = ()
    foreign: Foreign | None = None
    train: bool = False
    variant: Callable[[Mapping[str, Value]], Target] | None = None
    words: Callable[[str, Value], str] = set_words
    expected: tuple[int, ...] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    batch: int | None = None
    feeds: Callable[[int], Sequence[Callable[[], Inputs]]] | None = None
    samples: Callable[[], Sequence[Sample]] = tuple

    def fed(self, batch: int | None) -> Sequence[Callable[[], Inputs]]:
        """The ways to feed it at a batch; None is its own batch."""
        batch = self.batch if batch is None else batch
        return [self.inputs] if self.feeds is None or batch is None else self.feeds(batch)

    def record(self, device: str = "meta") -> schema.Target:
        """What a trace records about it."""
        return schema.Target(self.spec, self.class_name, dict(self.hyperparameters), device)


@dataclass(frozen=True)
class Foreign:
    """A model of a library or of the user, built once.

    `arguments` made it, under the library's names; `again` makes it with some of them changed. `plans` are ways to feed
    it: the first that its forward takes counts. `usual` are the plans without --input.
    """

    spec: str
    make: Callable[[], object]
    built: Built
    arguments: Mapping[str, Any]
    knobs: Sequence[Knob]
    again: Callable[[Changes], object] | None
    plans: Sequence[Plan]
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    train: bool = False
    heard: bool = True  # whether what its code prints is new
    usual: Callable[[Built], Sequence[Plan]] = lambda _: ()
    fitting: list[Plan] = field(default_factory=list, compare=False)  # the plan that its forward took, once it ran
    samples: list[Sample] = field(default_factory=list, compare=False)  # itself small, then as it is

    def target(self) -> Target:
        return Target(
            spec=self.spec,
            class_name=type(self.built.model).__name__,
            hyperparameters=self.hyperparameters,
            build=self.make,  # type: ignore[arg-type]  # known to give a module: it has been called
            inputs=lambda: (self.fitting or self.plans)[0].inputs({}),
            foreign=self,
            train=self.train,
            variant=self.variant if self.again is not None else None,
            expected=self.expected(),
            batch=self.plans[0].sizes.get("b"),
            feeds=lambda batch: [partial(plan.inputs, {"b": batch}) for plan in self.plans],
            arguments=self.arguments,
            samples=lambda: self.samples,
        )

    def variant(self, values: Mapping[str, Value]) -> Target:
        """The target with some hyperparameters changed, fed as before. Raises Refused."""
        again = self.again
        assert again is not None
        base: Changes = {(name,): tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        make = partial(again, base)
        with silenced():
            built = build_first(self.spec, make)
        return replace(
            self,
            make=make,
            built=built,
            heard=False,
            fitting=[],
            samples=[],
            arguments={**self.arguments, **values},
            again=lambda changes: again({**base, **changes}),
            hyperparameters={**self.hyperparameters, **values},
        ).target()

    def expected(self) -> tuple[int, ...] | None:
        """The shape of the images or clips that the model was made for; None where it takes something else."""
        try:
            plan = self.usual(self.built)[0]
        except (Refused, IndexError):
            return None
        if len(plan.feeds) == 1 and set(plan.feeds[0].axes) in (set("bcHW"), set("bcTHW")):
            return tuple(plan.sizes[str(axis)] for axis in plan.feeds[0].axes)
        return None
