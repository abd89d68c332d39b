"""Runs a small copy of a model for real: as it is, with another first image, and with gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial, wraps
from inspect import isgeneratorfunction
from typing import Any, TypeVar

import torch
from msgspec.structs import replace
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from vit_trace.base.trace import Source, Stage, Trace
from vit_trace.mixing.coordinates import BATCH
from vit_trace.mixing.sample import filled, wake, with_equal_images, with_opposite_masks, with_other_image
from vit_trace.mixing.watch import SOFTMAX, Event, Watched, differs
from vit_trace.record.build.anyhow import INITIALISED
from vit_trace.record.meta.collector import uncollected
from vit_trace.record.meta.tensors import leaves
from vit_trace.record.record import RecordOptions, record
from vit_trace.record.source import frames
from vit_trace.targets.complaints import silenced
from vit_trace.targets.inputs import Inputs
from vit_trace.targets.target import Sample, lines_of

MOST_FLOPS = 3_000_000_000
"""FLOPs of a forward above which a model is not run at its own size."""

MOST_WORK, MOST_TRIED = 2_000_000_000, 2_500_000_000
"""Work of the forward of a copy, and of all that are tried, above which a model is not measured: see `Watched`."""

MOST_RETURNED = 20_000_000
"""Values that a copy returns above which it is not measured: each is looked at several times."""

During = Callable[[nn.Module], AbstractContextManager[None]]
"""Makes a context that changes what a model's forward does."""

RANDOM = {"bernoulli", "bernoulli_", "multinomial", "normal", "normal_", "uniform_", "exponential_", "poisson"}

MOST_KEPT = 8
_KEPT: dict[object, Measured] = {}
"""What was measured, by the key of its sample; emptied where it holds so many."""

BUILT = 20
"""Work that a parameter takes to be given a value."""


@dataclass(frozen=True)
class CopyRun:
    """One forward: its trace, what its functions were given and made, its outputs; `starts` holds inputs by path."""

    trace: Trace
    watched: Watched
    outputs: Sequence[Tensor]
    starts: Mapping[str, Tensor]

    def same_way(self, other: CopyRun) -> bool:
        """Whether another forward called the same functions."""
        return [one.name for one in self.watched.events] == [one.name for one in other.watched.events]


@dataclass(frozen=True, eq=False)
class Measured:
    """A small copy of a model, its inputs, and its forward as it is; `answers` keeps what was asked of it before."""

    model: nn.Module
    given: Inputs
    usual: CopyRun
    answers: dict[str, Any] = field(default_factory=dict)

    @property
    def events(self) -> list[Event]:
        return self.usual.watched.events

    @property
    def trace(self) -> Trace:
        return self.usual.trace

    @property
    def alive(self) -> set[int]:
        """The tensors that hang on the input, by identity."""
        return self.usual.watched.alive

    @cached_property
    def other(self) -> CopyRun | None:
        """The forward with another first image; None where it goes another way."""
        changed = (with_other_image(self.given, BATCH, counted) for counted in (False, True))
        return next((found for one in changed if (found := self.after(one)) is not None), None)

    @cached_property
    def graph(self) -> CopyRun | None:
        """The forward with gradients; None where it cannot be run with them."""
        return self.after(self.given, grad=True)

    def after(self, given: Inputs, grad: bool = False) -> CopyRun | None:
        """The forward with another input; None where it fails or goes another way."""
        found = run_copy(self.model, given, Watched(measures=False), grad)
        return found if found.trace.failure is None and found.same_way(self.usual) else None

    def changed(self, during: During) -> CopyRun | None:
        """The forward within a context; None where it fails, or gives outputs of other shapes."""
        watched = Watched(most=MOST_WORK, known=self.usual.watched.known)
        found = run_copy(self.model, self.given, watched, during=during)
        shapes = [one.shape for one in found.outputs] == [one.shape for one in self.usual.outputs]
        return found if found.trace.failure is None and shapes else None

    @cached_property
    def parameters(self) -> Mapping[int, str]:
        """The names of parameters and buffers, by identity."""
        return {id(one): name for name, one in (*self.model.named_buffers(), *self.model.named_parameters())}

    @cached_property
    def first_mixed(self) -> Event | None:
        """The first event before a mixed output that gives the first image more than its share along every axis."""
        others = self.other.outputs if self.other is not None else ()
        mixed = [one for one, two in zip(self.usual.outputs, others, strict=False) if one.ndim and spreads(one, two)]
        before = {id(event) for event in self.leading_to(mixed)}
        for event, other in zip(self.events, self.other.watched.events if self.other is not None else (), strict=False):
            if id(event) not in before:
                continue
            for one, two in zip(event.values, other.values, strict=True):
                where = differs(one, two) if one.shape == two.shape else None
                if where is not None and where.any() and not any(map(partial(_kept_apart, where), range(where.ndim))):
                    return event
        return None

    @cached_property
    def first_by_place(self) -> Event | None:
        """The first event after which equal images differ; None where they come out equal, or anything is random."""
        same = self.after(with_equal_images(self.given, BATCH))
        if same is None or any("rand" in one.name or one.name in RANDOM for one in self.events):
            return None
        if all(_equal_shares(one) for one in same.outputs if _by_image(one)):
            return None
        since: dict[int, Event] = {}
        for event, now in zip(self.events, same.watched.events, strict=True):
            start = next((since[id(one)] for one in event.given if id(one) in since), event)
            for made, values in zip(event.made, now.values, strict=True):
                if id(made) in self.alive and (not values.ndim or values.shape[0] % BATCH):
                    since[id(made)] = start
                elif id(made) in self.alive and not _equal_shares(values):
                    return start
        return None

    def stage(self, event: Event) -> Stage:
        """The stage that an event belongs to, or the next around it that stands in the model's own code."""
        return self.own(self.trace.stages[event.step])

    def own(self, stage: Stage) -> Stage:
        """The stage, or the next around it that stands in the model's own code."""
        while stage.source is not None and stage.parent is not None and frames.owner(stage.source.file) != frames.OWN:
            stage = self.trace.stages[stage.parent]
        return stage if stage.name else replace(stage, name="forward")

    def source(self, event: Event) -> Source | None:
        """The line of an event."""
        return event.source or self.stage(event).source

    def comes_from(self, made: Tensor, source: Tensor) -> bool:
        """Whether a tensor was made of another."""
        return made is source or any(one is source for event in self.leading_to([made]) for one in event.given)

    def twice(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """The values of a tensor of the forward, and those with another first image."""
        if self.other is None:
            return ()
        for path, start in self.usual.starts.items():
            if start is tensor:
                return start, self.other.starts[path]
        for event, changed in zip(self.events, self.other.watched.events, strict=True):
            for at, made in enumerate(event.made):
                if made is tensor:
                    return event.values[at], changed.values[at]
        return ()

    def leading_to(self, tensors: Iterable[Tensor]) -> list[Event]:
        """The events that tensors were made by, in their order."""
        wanted = {id(one) for one in tensors}
        found: list[Event] = []
        for event in reversed(self.events):
            if any(id(one) in wanted for one in event.made):
                wanted |= {id(one) for one in event.given}
                found.append(event)
        return found[::-1]

    def is_output(self, tensor: Tensor) -> bool:
        """Whether the model returns such a tensor."""
        return any(same_values(tensor, one) for one in self.usual.outputs)

    def runs_alike(self, given: Inputs) -> bool:
        """Whether the outputs are the same for another input, under masks and under their opposites."""
        same = all_same(run_copy(self.model, given, None).outputs, self.usual.outputs)
        under, others = with_opposite_masks(self.given), with_opposite_masks(given)
        masked = any(one is not two for (_, one), (_, two) in zip(leaves(under), leaves(self.given), strict=True))
        both = (run_copy(self.model, some, None).outputs for some in (under, others)) if same and masked else ()
        return same and (not masked or all_same(*both))

    def loses(self, given: Inputs) -> Event | None:
        """The first event that takes values that differ with another input, and makes none; else the last that does."""
        other, last = self.after(given), None
        before, after = (dict(leaves(some)) for some in (self.given, given))
        changed = {id(one) for path, one in self.usual.starts.items() if not torch.equal(before[path], after[path])}
        for event, two in zip(self.events, other.watched.events if other is not None else (), strict=False):
            if any(id(one) in changed for one in event.given):
                if all(map(same_values, event.values, two.values)):
                    return event
                changed |= {id(one) for one in event.made}
                last = event
        return last


Asked = TypeVar("Asked")


def asked_once(ask: Callable[[Measured], Asked]) -> Callable[[Measured], Asked]:
    """A question to a copy, whose answer is kept with it: many configs have one copy."""

    @wraps(ask)
    def asked(measured: Measured) -> Any:
        name = ask.__qualname__
        if name not in measured.answers:
            found = ask(measured)
            measured.answers[name] = (*found,) if isgeneratorfunction(ask) else found  # type: ignore[misc]
        found = measured.answers[name]
        return iter(found) if isgeneratorfunction(ask) else found

    return asked


def spreads(one: Tensor, two: Tensor) -> bool:
    """Whether values of other images than the first differ, by more than rounding; of pairs of images, without it."""
    if one.shape != two.shape:
        return False
    where = differs(one, two)
    if one.is_floating_point():
        where &= ~torch.isclose(one, two, 1e-4, 1e-6)
    if one.shape[:2] == (BATCH, BATCH):
        return bool(where[1:, 1:].any())
    return bool(where[1:].any()) if _by_image(one) else int(where.sum()) * BATCH > one.numel()


def _by_image(tensor: Tensor) -> bool:
    """Whether the first axis, and no other, has as many places as there are images."""
    return tensor.shape[:1] == (BATCH,) and tensor.shape.count(BATCH) == 1


def same_values(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors are the same."""
    return one.shape == two.shape and not differs(one, two).any()


def all_same(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Whether all tensors are those of another run."""
    return len(some) == len(others) and all(map(same_values, some, others))


def _equal_shares(tensor: Tensor) -> bool:
    """Whether each image's share of a tensor is about that of the first."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    shares = tensor.reshape(BATCH, -1)
    return torch.allclose(shares, shares[:1].expand_as(shares), 1e-3, 1e-4, equal_nan=True)


def _kept_apart(where: Tensor, axis: int) -> bool:
    """Whether what differs lies in no more than one image's share of the places along an axis."""
    touched = where.movedim(axis, 0).reshape(where.shape[axis], -1).any(1)
    own = axis != 0 or not _by_image(where) or bool(touched[0])  # images that change places do not keep apart
    return own and int(touched.sum()) * BATCH <= len(touched)


def run_copy(
    model: nn.Module, given: Inputs, watched: Watched | None, grad: bool = False, during: During | None = None
) -> CopyRun:
    """One forward in evaluation mode, of copies of the inputs; `during` gives a context that it runs in."""
    starts: dict[str, Tensor] = {}
    held: dict[int, Tensor] = {}
    for path, tensor in leaves(given):
        starts[path] = tensor.detach().clone().requires_grad_(grad and tensor.is_floating_point())
        held[id(tensor)] = starts[path] * 1 if starts[path].requires_grad else starts[path]
    args, kwargs = tree_map_only(Tensor, lambda one: held[id(one)], given)
    if watched is not None:
        watched.start((args, kwargs))
    outputs: list[Tensor] = []
    keep = model.register_forward_hook(lambda _, __, made: outputs.extend(one for _, one in leaves(made)))
    try:
        with on_one_thread(), silenced(), uncollected(), _within(model, during):
            trace = record(model, args, kwargs, RecordOptions(rules=False, limited=False, watcher=watched, grad=grad))
    finally:
        keep.remove()
    return CopyRun(trace, watched or Watched(measures=False), outputs, starts)


@contextmanager
def _within(model: nn.Module, during: During | None) -> Iterator[None]:
    """Run the model's forward, and nothing around it, in a context."""
    if during is None:
        yield
        return
    forward = model.forward

    def changed(*args: Any, **kwargs: Any) -> Any:
        with during(model):
            return forward(*args, **kwargs)

    model.forward = changed
    try:
        yield
    finally:
        del model.forward


def measure(samples: Sequence[Sample]) -> Measured | None:
    """The first of the samples that runs, where each line makes as many axes as at the model's own size; None: none.

    What was measured of a sample with a key is kept: many configs have one small copy.
    """
    tried, spare = 0.0, None
    for sample in samples:
        found = _KEPT.get(sample.key)
        if found is None and sample.flops * BATCH <= MOST_FLOPS and tried < MOST_TRIED:
            found, work = _measured(sample)
            tried += work
        if found is not None:
            lines = lines_of(found.trace)
            if all(lines.get(place, 0) >= axes for place, axes in sample.lines.items()):
                return found
            spare = spare or found
    return spare


def _measured(sample: Sample) -> tuple[Measured | None, float]:
    """One sample, None where it does not run or is too large; the work that it took."""
    watched, work = Watched(most=MOST_WORK), 0.0
    try:
        with silenced(), uncollected():
            model = INITIALISED.build(sample.build).model
            work = BUILT * sum(one.numel() for one in model.parameters())
            wake(model)
            given = filled(sample.inputs(BATCH))
            usual = run_copy(model, given, watched)
    except Exception:  # a setting at which the copy does not run is not one to measure at
        return None, work
    work += watched.work
    large = sum(one.numel() for one in usual.outputs) > MOST_RETURNED
    if large or usual.trace.failure is not None or not (sample.own or not any(map(_of_one, usual.watched.events))):
        return None, work
    found = Measured(model, given, usual)
    if sample.key is not None and not sample.own:  # which may be large
        if len(_KEPT) >= MOST_KEPT:
            _KEPT.clear()
        _KEPT[sample.key] = found
    return found, work


def _of_one(event: Event) -> bool:
    """Whether it weighs one thing alone: such weights are 1, and nothing depends on what they were made of."""
    if event.name == "scaled_dot_product_attention":
        return len(event.given) > 1 and event.given[1].ndim > 1 and event.given[1].shape[-2] == 1
    return event.name in SOFTMAX and event.values[0].ndim > 1 and bool((event.values[0] == 1).all())


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Small tensors are computed faster by one thread, and always in the same order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
