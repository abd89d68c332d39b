"""Watches a forward on a small real copy: what each function was given and made, and what it mixes."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf, prod, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from vit_trace.base.trace import Source
from vit_trace.mixing.coordinates import CONVOLUTIONS, HANDS_ON, MOVES, PRODUCTS, Coordinates, along_axes
from vit_trace.record.meta.tensors import leaves
from vit_trace.record.record import record
from vit_trace.record.recorder import CALL_IMPL, Step, TorchCall
from vit_trace.record.source import frames

JOINS = {"cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "pad", "_pad_circular", "tile", "where"}
"""Functions that put values of several tensors side by side, and compute none."""

SILENT = {"size", "stride", "dim", "numel", "is_contiguous", "get_device", "item", "tolist", "is_tensor", "__len__"}

PICKS = {"__getitem__", "select", "narrow", "index_select"}
"""Functions that keep some places of a tensor."""

CONTRACTS = PRODUCTS | CONVOLUTIONS | {"linear", "einsum", "scaled_dot_product_attention", "conv_transpose2d"}
"""Functions that multiply two tensors and sum: m·k·n products, the square root of what the three tensors hold."""

PRODUCT, CALL = 0.1, 30_000
"""What a product costs, for the cost of an element; and any call."""

FORWARDS = 5
"""How often a forward that is measured counts: it is run again for most questions."""

SOFTMAX = {"softmax", "_softmax", "softmin"}

STOPS = {"detach", "detach_"}
"""Functions that are no stage, and that no gradient goes through."""


class TooLarge(Exception):
    """A forward took more work than it was given."""


Axis = tuple[int, int]
"""Which of the tensors that a call was given, and one of its axes."""


@dataclass(slots=True, eq=False)
class Event:
    """One call of a torch function, in the stage that it is or belongs to.

    `given` and `made` are its tensors, by identity; `values` what `made` held then; `mixed` are axes of `given` over
    which a value of the result depends on more than its own place.
    """

    step: int
    name: str
    given: tuple[Tensor, ...]
    made: tuple[Tensor, ...]
    values: tuple[Tensor, ...] = ()
    mixed: tuple[Axis, ...] = ()
    graded: tuple[bool, ...] = ()
    picked: Mapping[int, frozenset[int]] | None = None
    source: Source | None = None

    def work(self) -> float:
        """About how much the call computed: the elements of its result, and the products of two tensors."""
        made, given = sum(one.numel() for one in self.made), [one.numel() for one in self.given[:2]]
        return made + (PRODUCT * sqrt(made * prod(given)) if self.name in CONTRACTS and len(given) > 1 else 0)


@dataclass
class Watched:
    """The events of one forward, in their order, and what follows from them. Keeps every tensor alive.

    `alive` holds the tensors that hang on the model's input. Without `measures` only values are kept. `work` counts
    what was computed, about a nanosecond each; a call that starts with more than `most` of it raises TooLarge.
    """

    measures: bool = True
    events: list[Event] = field(default_factory=list)
    alive: set[int] = field(default_factory=set)
    coordinates: Coordinates = field(default_factory=Coordinates)
    known: dict[object, tuple[Axis, ...]] = field(default_factory=dict)
    most: float = inf
    work: float = 0

    def start(self, inputs: object) -> None:
        """The tensors of the input are where everything that hangs on it begins."""
        self.alive |= {id(tensor) for _, tensor in leaves(inputs)}
        self.coordinates.images |= {id(tensor) for _, tensor in leaves(inputs) if tensor.ndim == 4}

    def called(self, step: Step | None, call: TorchCall, out: Any) -> None:
        """See `Watcher`."""
        if step is None or call.name in SILENT:
            return
        given = tuple(one for one in tree_leaves((call.args, call.kwargs)) if isinstance(one, Tensor))
        made = tuple(tensor for _, tensor in leaves(out))
        if call.name in ("__setitem__", "copy_") and given:
            made = given[:1]
        if not made:
            return
        event = Event(step.index, call.name, given, made, tuple(tensor.detach().clone() for tensor in made))
        self.work += (CALL + event.work()) * (FORWARDS if self.measures else 1)
        if self.work > self.most:
            raise TooLarge
        event.graded = tuple(tensor.requires_grad for tensor in made)
        self.events.append(event)
        if any(id(tensor) in self.alive for tensor in given):
            self.alive |= {id(tensor) for tensor in made}
        if self.measures:
            self.coordinates.called(step.index, call, out)
            if call.name not in MOVES | HANDS_ON | JOINS:
                event.mixed = self.mixed_by(call)
            elif call.name in PICKS and isinstance(out, Tensor):
                event.picked = _picked(call, given[0])
        if call.name in PICKS | STOPS:
            event.source = _called_from()

    def mixed_by(self, call: TorchCall) -> tuple[Axis, ...]:
        """The axes that a call mixes, measured by calling it again; asked once for calls of one kind."""
        values, spec = tree_flatten((call.args, call.kwargs))
        hangs = [at for at, one in enumerate(values) if _changes(one) and id(one) in self.alive]
        key = (call.func, spec, tuple(map(_kind, values)), tuple(hangs))
        if key not in self.known:
            self.known[key] = tuple(self.measured(call, values, spec, hangs)) if hangs else ()
        return self.known[key]

    def measured(self, call: TorchCall, values: Sequence[Any], spec: Any, hangs: Sequence[int]) -> Iterator[Axis]:
        """The axes that a call mixes: one place is changed, and more changes in the result than that place."""
        cost = CALL + 3 * self.events[-1].work()

        def again(place: int, tensor: Tensor) -> list[Tensor]:
            self.work += cost
            given = [one.clone() if at in hangs else one for at, one in enumerate(values)]  # it may work in place
            given[place] = tensor
            args, kwargs = tree_unflatten(given, spec)
            out = call.func(*args, **kwargs)
            return [tensor for _, tensor in leaves(args[0] if out is None else out)]

        try:
            usual = again(hangs[0], values[hangs[0]].clone())
            if not all(map(_same, usual, again(hangs[0], values[hangs[0]].clone()))):
                return  # it draws random numbers
            for place in hangs:
                tensor = values[place]
                for axis in range(tensor.ndim):
                    if tensor.shape[axis] > 1 and not _keeps_to_its_place(usual, tensor, axis, partial(again, place)):
                        yield sum(isinstance(one, Tensor) for one in values[:place]), axis
        except Exception:  # what cannot be asked mixes nothing that is known
            return


def _picked(call: TorchCall, tensor: Tensor) -> dict[int, frozenset[int]] | None:
    """The places that an index keeps, by axis, where it leaves some out."""
    func: Any = call.func
    try:
        flat = func(torch.arange(tensor.numel()).reshape(tensor.shape), *call.args[1:], **call.kwargs).flatten()
    except Exception:
        return None
    found = {}
    for axis, places in enumerate(along_axes(flat, tensor.shape)):
        kept = frozenset(places.tolist())
        if len(kept) < tensor.shape[axis]:
            found[axis] = kept
    return found or None


def _called_from() -> Source | None:
    """The line of the model's own code that is running."""
    site = frames.find_site(sys._getframe(4), CALL_IMPL, record.__code__)
    frame = site.frame or site.library
    return frames.span(frame.f_code, frame.f_lasti) if frame is not None else None


def _changes(one: object) -> bool:
    return isinstance(one, Tensor) and one.is_floating_point() and one.ndim > 0 and one.numel() > 1


def _kind(one: object) -> object:
    """What decides what a call mixes: the shape and dtype of a tensor, the value of all else."""
    if isinstance(one, Tensor):
        return one.shape, one.dtype
    return one if isinstance(one, (int, float, str, bool, type(None), torch.dtype)) else repr(one)[:200]


def _same(one: Tensor, two: Tensor) -> bool:
    return one.shape == two.shape and not differs(one, two).any()


def differs(one: Tensor, two: Tensor) -> Tensor:
    """Where two tensors of one shape differ; what is no number on both sides does not."""
    found = one != two
    if one.is_floating_point() and found.any():
        found &= ~(one.isnan() & two.isnan())
    return found


def _keeps_to_its_place(usual: Sequence[Tensor], tensor: Tensor, axis: int, again: Any) -> bool:
    """Whether a change at one place along an axis changes the result at that place of one of its axes only."""
    size = tensor.shape[axis]
    fitting: list[set[int] | None] = [None] * len(usual)
    for place in dict.fromkeys((size // 2, 0)):
        changed = tensor.clone()
        changed.select(axis, place).copy_(_other(changed.select(axis, place)))
        for at, (before, after) in enumerate(zip(usual, again(changed), strict=True)):
            if before.shape != after.shape:
                return False
            where = differs(before, after)
            if not where.any():
                continue
            fits = {one for one in range(where.ndim) if where.shape[one] == size and _only(where, one, place)}
            held = fitting[at]
            fitting[at] = fits if held is None else held & fits
    return all(one is None or one for one in fitting)


def _other(values: Tensor) -> Tensor:
    """Other values of about the same size, the same on every run."""
    generator = torch.Generator().manual_seed(1)
    spread = values.abs().max().clamp(min=0.1, max=100.0).nan_to_num(1.0)
    return torch.randn(values.shape, generator=generator).to(values.dtype) * spread


def _only(where: Tensor, axis: int, place: int) -> bool:
    """Whether all that differs lies at one place of an axis."""
    rest = where.movedim(axis, 0).reshape(where.shape[axis], -1).any(1)
    return bool(rest[place]) and int(rest.sum()) == 1
