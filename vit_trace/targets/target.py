"""A target: something that can be built with given hyperparameters and given an input. It imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vit_trace.tracing import schema
from vit_trace.tracing.schema import Symbol, Trace, Value

if TYPE_CHECKING:
    from torch import nn

Inputs = tuple[tuple[Any, ...], dict[str, Any]]


def set_words(name: str, value: Value) -> str:
    """How a hyperparameter is set on the command line."""
    return f"--set {name}={value_words(value)}"


def value_words(value: Value) -> str:
    """384, or 384x512 for a pair of sizes."""
    if isinstance(value, list):
        return str(value[0]) if len(set(map(str, value))) == 1 else "x".join(map(str, value))
    return str(value)


@dataclass(frozen=True)
class Target:
    """What a spec stands for.

    `build` and `inputs` may import torch; `inputs` gives the (args, kwargs) of forward, on the meta device. `probes`
    gives the same target at other settings, of which the last confirms what the others suggest. `trace` is how to trace
    a target for which that is not all there is to it: (rules, formulas) -> Trace.

    `variant` is the target with some hyperparameters changed and all else the same, `words` how a user would say such
    a change; `expected` is the shape of the images that the model was made for; `arguments` are what somebody else's
    model was made of, under its library's names, whatever they hold. `batch` is how many images it is fed, None where
    that cannot be changed; `feeds` are the ways to feed it at another batch, of which the first that runs counts.
    """

    spec: str
    class_name: str
    hyperparameters: Mapping[str, Value]
    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    symbols: Mapping[str, Symbol] = field(default_factory=dict)
    probes: Callable[[], Sequence[Target]] = tuple
    repeats: bool = False
    trace: Callable[[bool, bool], Trace] | None = None
    train: bool = False
    variant: Callable[[Mapping[str, Value]], Target] | None = None
    words: Callable[[str, Value], str] = set_words
    expected: tuple[int, ...] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    batch: int | None = None
    feeds: Callable[[int], Sequence[Callable[[], Inputs]]] | None = None

    def fed(self, batch: int | None) -> Sequence[Callable[[], Inputs]]:
        """The ways to feed it at a batch, None being its own."""
        batch = self.batch if batch is None else batch
        return [self.inputs] if self.feeds is None or batch is None else self.feeds(batch)

    def record(self, device: str = "meta") -> schema.Target:
        """What the trace says of it."""
        return schema.Target(self.spec, self.class_name, dict(self.hyperparameters), device)
