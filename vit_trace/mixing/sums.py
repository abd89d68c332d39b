"""Finds sums that broadcast what should have as many tokens or images as what it is added to."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from torch import Tensor

from vit_trace.mixing.measure import BATCH, Measured
from vit_trace.mixing.watch import Event, differs

ADDS = {"add", "add_", "__add__", "__iadd__", "__radd__"}


PAIRWISE = ADDS | {
    *("sub", "__sub__", "__rsub__", "mul", "__mul__", "__rmul__", "div", "__truediv__", "eq", "__eq__", "ne", "pow"),
    *("l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits"),
}
"""Functions that compare or combine two tensors value by value."""

POOLS = {"mean", "sum", "amax", "max"}


def broadcasts(measured: Measured) -> Iterator[tuple[Event, str]]:
    """Sums where one token of one tensor is added to all of another, or what was pooled to what was made of it."""
    for event in measured.events:
        if event.name in ADDS and len(event.given) == 2 and all(id(one) in measured.alive for one in event.given):
            grown = [one for one in event.given if one.shape != event.made[0].shape]
            what = _one_of(measured, event, grown[0]) or _pooled(measured, event, grown[0]) if len(grown) == 1 else ""
            if what:
                yield event, what


def crossed(measured: Measured) -> Iterator[Event]:
    """Functions of two tensors that are both broadcast, so that each image of one meets every image of the other."""
    for event in measured.events:
        if (
            event.name not in PAIRWISE
            or len(event.given) != 2
            or not all(id(one) in measured.alive for one in event.given)
        ):
            continue
        whole, origins = event.made[0].shape, measured.usual.watched.coordinates.origins
        moved = [origins[id(one)].mover is not None for one in event.given if id(one) in origins]
        if all(one.shape != whole for one in event.given) and moved != [True, True]:  # else both were given an axis
            axes = [batch_axis(measured, one) for one in event.given]
            if None not in axes and axes[0] != axes[1]:
                yield event


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


def same_positions(measured: Measured) -> Iterator[tuple[Event, str, bool]]:
    """Sums with positions that are the same for all tokens: the event, the table, whether it follows the images."""
    seen = set()
    for event in measured.events:
        if event.name not in ADDS or len(event.given) != 2:
            continue
        for table, tokens in (event.given, event.given[::-1]):
            name = _table(measured, table)
            if name is None or id(tokens) not in measured.alive or tokens.ndim < 3 or name in seen:
                continue
            along = {axis for axis in range(-table.ndim, 0) if _varies(table, axis)}
            batch = batch_axis(measured, tokens)
            others = [axis for axis in range(-tokens.ndim, -1) if axis != batch and tokens.shape[axis] > 1]
            if not along - {-1, batch} and others and batch is not None and -1 in along:
                seen.add(name)
                yield event, name, batch in along


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
    return next((name for name in names if "pos" in name.lower()), None)


def batch_axis(measured: Measured, tensor: Tensor) -> int | None:
    """The axis of a tensor that counts the images, from the end: along it all that changes with the first is first."""
    found = _before_and_after(measured, tensor)
    if found is None or found[0].shape != found[1].shape:
        return None
    where = differs(*found)
    for axis in range(where.ndim):
        rest = where.movedim(axis, 0).reshape(where.shape[axis], -1).any(1)
        if where.shape[axis] == BATCH and rest.tolist() == [True] + [False] * (BATCH - 1):
            return axis - where.ndim
    return None


def _before_and_after(measured: Measured, tensor: Tensor) -> tuple[Tensor, Tensor] | None:
    """The values of a tensor of the forward, and those with another first image."""
    other = measured.other
    if other is None:
        return None
    for path, start in measured.usual.starts.items():
        if start is tensor:
            return start, other.starts[path]
    for event, changed in zip(measured.events, other.watched.events, strict=True):
        for at, made in enumerate(event.made):
            if made is tensor:
                return event.values[at], changed.values[at]
    return None
