"""Finds sums that broadcast what should have as many tokens or images as what it is added to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod

import torch
from torch import Tensor

from vit_trace.mixing.attention import POOLS, TIMES, last_attention
from vit_trace.mixing.coordinates import BATCH, CONVOLUTIONS, LAST, MOVES
from vit_trace.mixing.measure import Measured, asked_once
from vit_trace.mixing.watch import JOINS, PICKS, SOFTMAX, Event, differs

ADDS = {"add", "add_", "__add__", "__iadd__", "__radd__"}

PAIRWISE = ADDS | {
    *("sub", "__sub__", "__rsub__", "mul", "__mul__", "__rmul__", "div", "__truediv__", "eq", "__eq__", "ne", "pow"),
    *("l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits"),
}
"""Functions that compare or combine two tensors value by value."""


@asked_once
def broadcasts(measured: Measured) -> Iterator[tuple[Event, str]]:
    """Sums where one token of one tensor is added to all of another, or what was pooled to what was made of it."""
    for event in measured.events:
        if event.name in ADDS and len(event.given) == 2 and all(id(one) in measured.alive for one in event.given):
            grown = [one for one in event.given if one.shape != event.made[0].shape]
            what = _one_of(measured, event, grown[0]) or _pooled(measured, event, grown[0]) if len(grown) == 1 else ""
            if what:
                yield event, what


@asked_once
def crossed(measured: Measured) -> Iterator[tuple[Event, str]]:
    """Functions of two tensors that are both broadcast, so that each image of one meets every image of the other.

    Or of one image alone and of all: the function, and which images meet.
    """
    picked = [one for one in measured.events if one.picked and len(one.picked.get(0, "all")) == 1]
    alone = {id(one.made[0]) for one in picked if batch_axis(measured, one.given[0]) == -one.given[0].ndim}
    for event in measured.events:
        if (
            event.name not in PAIRWISE
            or len(event.given) != 2
            or not all(id(one) in measured.alive for one in event.given)
        ):
            continue
        if any(id(one) in alone and batch_axis(measured, two) for one, two in (event.given, event.given[::-1])):
            yield event, "one image meets all"
        whole = event.made[0].shape
        spread = all(one.ndim == len(whole) for one in event.given)  # both were given an axis
        if all(one.shape != whole for one in event.given) and not spread:
            axes = [_axis_of_images(measured, one) for one in event.given]
            if None not in axes and axes[0] != axes[1]:
                yield event, "each image meets every other"


def _axis_of_images(measured: Measured, tensor: Tensor) -> int | None:
    """The axis that counts the images; where nothing changes with the first, the only one of as many."""
    found, values = batch_axis(measured, tensor), measured.twice(tensor)
    still = not tensor.is_floating_point() or (len(values) == 2 and torch.equal(*values))
    if found is None and still and tensor.shape.count(BATCH) == 1:
        return tensor.shape.index(BATCH) - tensor.ndim
    return found


def _one_of(measured: Measured, event: Event, small: Tensor) -> str:
    """That one place of another tensor was picked and is added to all; "" where it was not."""
    origins, (one, two) = measured.usual.watched.coordinates.origins, event.given
    origin, other = origins.get(id(small)), origins.get(id(two if one is small else one))
    if origin is None or origin.mover is None or (other is not None and other.base == origin.base):
        return ""
    whole = event.made[0].shape
    for axis in range(-small.ndim, 0):
        wide = whole[axis]
        if small.shape[axis] == 1 < wide and wide in origin.shape and small.numel() * wide == prod(origin.shape):
            return f"one of {wide} tokens, and adds it to all"
    return ""


def _pooled(measured: Measured, event: Event, small: Tensor) -> str:
    """That the residual itself was pooled, and what was made of it is added to the pooled one; "" where it was not."""
    made = next((one for one in measured.events if any(tensor is small for tensor in one.made)), None)
    if made is None or made.name not in POOLS or not made.given or made.given[0].ndim != small.ndim:
        return ""
    stream, (one, two) = made.given[0], event.given
    large = two if one is small else one
    if stream.shape != large.shape or stream is large or not measured.comes_from(large, stream):
        return ""
    total = next(one for one in measured.events if any(tensor is large for tensor in one.made))
    if total.name in ADDS and any(one is stream for one in total.given):  # what is added was in it before
        return ""
    return f"the {made.name} of what came in, and adds to it what was made of that"


@asked_once
def same_positions(measured: Measured) -> Iterator[tuple[Event, str, str]]:
    """Sums and products with positions that are the same for all tokens: the event, the table, what is taken of it.

    Besides tables of positions by their name, any that has a place for each token, where one is taken: the pick.
    """
    seen, origins = set(), measured.usual.watched.coordinates.origins
    for event in measured.events:
        if event.name not in ADDS | TIMES or len(event.given) != 2:
            continue
        for table, tokens in (event.given, event.given[::-1]):
            name = _table(measured, table)
            if name is None or id(tokens) not in measured.alive or tokens.ndim < 3 or name in seen:
                continue
            along = {axis for axis in range(-table.ndim, 0) if _varies(table, axis)}
            batch = batch_axis(measured, tokens)
            if batch is None and _images_first(measured, tokens):  # windows of an image follow each other
                batch = -tokens.ndim
            others = [axis for axis in range(-tokens.ndim, -1) if axis != batch and tokens.shape[axis] > 1]
            what, count = "", 0
            if batch is not None and others and batch in along:
                what = "one position for each image of the batch"
            elif batch is not None and others and event.name in ADDS and "pos" in name.lower() and along == {-1}:
                what = "one position for all tokens"
            elif batch is not None:
                counts = (tokens.shape[one] for one in others if one not in along)
                count = next((one for one in counts if _one_taken(measured, table, one)), 0)
                what = f"one of {count} places for all" if count else ""
            if what:
                seen.add(name)
                steps = [step for step, move, _ in origins[id(table)].moves if move in PICKS] if count else []
                yield next((one for one in measured.events if one.step in steps[-1:]), event), name, what


@asked_once
def positions_of_masks(measured: Measured) -> Iterator[tuple[Event, str, str]]:
    """Lookups in a table of positions by what is 0 or 1: the event, the table, what is taken of it."""
    for event, other in zip(measured.events, measured.other.watched.events if measured.other else (), strict=False):
        name = measured.parameters.get(id(event.given[-1]), "") if event.name == "embedding" else ""
        if "pos" not in name.lower() or id(event.given[0]) not in measured.alive or event.given[0].ndim < 2:
            continue
        rows, count = event.given[-1].shape[0], event.given[0].shape[-1]
        if rows >= count > 2 and {*event.given[0].flatten().tolist(), *other.given[0].flatten().tolist()} <= {0, 1}:
            yield event, name, f"2 of {rows} places for {count} tokens"


def _one_taken(measured: Measured, table: Tensor, count: int) -> bool:
    """Whether a table was cut out of one that has so many places."""
    origin = measured.usual.watched.coordinates.origins.get(id(table))
    if origin is None or origin.mover is None:
        return False
    places = len(origin.flat.unique())  # type: ignore[no-untyped-call]
    sizes = (*origin.shape[:-1], *(size for _, name, flat in origin.moves if name not in PICKS for size in flat.shape))
    return places * 2 <= prod(origin.shape) and count in sizes and any(name in PICKS for _, name, _ in origin.moves)


def _varies(table: Tensor, axis: int) -> bool:
    """Whether values differ along an axis."""
    return bool((table != table.narrow(axis, 0, 1)).any())


def _table(measured: Measured, tensor: Tensor) -> str | None:
    """The name of the parameter of positions that a tensor is, was cut from or was looked up in."""
    if id(tensor) in measured.alive:
        return None
    origin = measured.usual.watched.coordinates.origins.get(id(tensor))
    base = origin.base if origin is not None else id(tensor)
    looked = (one for one in measured.events if one.name == "embedding" and any(id(made) == base for made in one.made))
    sources = [base, *(id(one) for event in looked for one in event.given)]
    names = [measured.parameters[one] for one in sources if one in measured.parameters]
    return next(iter(names), None)


def batch_axis(measured: Measured, tensor: Tensor) -> int | None:
    """The axis of a tensor that counts the images, from the end: along it all that changes with the first is first."""
    found = measured.twice(tensor)
    if len(found) < 2 or found[0].shape != found[1].shape or not tensor.numel():
        return None
    where = differs(*found)
    for axis in range(where.ndim):
        rest = where.movedim(axis, 0).reshape(where.shape[axis], -1).any(1)
        if where.shape[axis] == BATCH and rest.tolist() == [True] + [False] * (BATCH - 1):
            return axis - where.ndim
    return None


def moves_images(measured: Measured, event: Event) -> Event | None:
    """The last step before a stage that takes the images from the first axis, or to other places of it.

    None where a computing step mixes them after an attention that kept them apart: they were meant to be there.
    """

    def elsewhere(tensors: Iterable[Tensor]) -> Tensor | None:
        return next((one for one in tensors if id(one) in measured.alive and not at_home(measured, one)), None)

    def only(measured: Measured, tensor: Tensor) -> bool:
        return batch_axis(measured, tensor) == -tensor.ndim

    at_home = _images_first if event.name in MOVES | JOINS else only

    place = measured.stage(event).index
    first = next((one for one in measured.events if measured.stage(one).index == place), event)
    tensor = elsewhere((*first.given, *event.given))
    for step in reversed(measured.events):  # a step in place makes what it was given: each is passed once
        if tensor is not None and any(one is tensor for one in step.made):
            tensor = elsewhere(step.given)
            if tensor is None:
                kept = last_attention(measured, step) is last_attention(measured, first)
                return step if step.name in MOVES and (kept or event.name in MOVES) else None
    return None


def _images_first(measured: Measured, tensor: Tensor) -> bool:
    """Whether all that changes with the first image is the first share of the first axis."""
    found = measured.twice(tensor)
    if len(found) < 2 or found[0].shape != found[1].shape or not tensor.ndim:
        return False
    return tensor.shape[0] >= BATCH and not differs(*found)[-(-tensor.shape[0] // BATCH) :].any()


@asked_once
def over_images(measured: Measured) -> Event | None:
    """The first softmax over the images, of a tensor where they are one axis alone: not of pairs of images."""
    for event in measured.events:
        axes = [axis - event.given[0].ndim for _, axis in event.mixed if event.name in SOFTMAX | {"log_softmax"}]
        if axes and axes == [batch_axis(measured, event.given[0])]:
            return event
    return None


@asked_once
def mixed_before_layers(measured: Measured) -> Event | None:
    """The first step that makes each image depend on the others, before a layer with parameters: no loss does that."""
    mixed: set[int] = set()
    first = None
    for event, other in zip(measured.events, measured.other.watched.events if measured.other else (), strict=False):
        for made, one, two in zip(event.made, event.values, other.values, strict=True):
            if one.ndim > 1 and one.shape[0] == BATCH and one.shape == two.shape and _all_change(one, two):
                mixed.add(id(made))
                first = first or event
        weighed = any(id(one) in measured.parameters for one in event.given)
        if weighed and event.name in LAST | CONVOLUTIONS and any(id(one) in mixed for one in event.given):
            return first
    return None


def _all_change(one: Tensor, two: Tensor) -> bool:
    """Whether each image of a tensor changes, by more than rounding; of pairs of images, without the first."""
    if one.shape[:2] == (BATCH, BATCH):
        one, two = one[:, 1:], two[:, 1:]
    return one.is_floating_point() and not any(
        torch.allclose(before, after, 1e-3, 1e-4, equal_nan=True) for before, after in zip(one, two, strict=True)
    )
