"""Finds heads that are cut from the features in one order and put together, or compared, in another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from vit_trace.mixing.attention import MEETS
from vit_trace.mixing.coordinates import along_axes
from vit_trace.mixing.measure import Measured, asked_once
from vit_trace.mixing.watch import Event


class Layout(NamedTuple):
    """How the features of heads stand in one row: a place in the row for each (head, feature)."""

    shape: tuple[int, int]
    order: tuple[int, ...]
    mover: int
    event: Event

    @property
    def usual(self) -> bool:
        """Whether the heads stand one after the other: (h d)."""
        return self.order == tuple(range(len(self.order)))


@asked_once
def mismatches(measured: Measured) -> Iterator[tuple[Layout, Layout]]:
    """Two layouts of one attention that differ: the unusual one first."""
    groups: dict[tuple[int | None, tuple[int, int]], list[Layout]] = defaultdict(list)
    for one in _layouts(measured):
        groups[measured.trace.stages[one.mover].parent, one.shape].append(one)
    for found in groups.values():
        odd = next((one for one in found if not one.usual), None)
        other = next((one for one in found if odd is not None and one.order != odd.order), None)
        if odd is not None and other is not None:
            yield odd, other


def _layouts(measured: Measured) -> Iterator[Layout]:
    for event in measured.events:
        if event.name in MEETS:
            for tensor in event.given:
                yield from _cut(measured, tensor, event)
        elif event.name == "linear":
            yield from _joined(measured, event.given[0], event)


def _cut(measured: Measured, tensor: Tensor, event: Event) -> Iterator[Layout]:
    """Two axes of a tensor that were one row of features."""
    coordinates = measured.usual.watched.coordinates
    origin = coordinates.origins.get(id(tensor))
    if origin is None or origin.mover is None or not origin.reshaped or tensor.ndim < 3:
        return
    last = len(origin.shape) - 1
    varied = coordinates.varying(tensor)
    axes = [axis for axis, size in enumerate(tensor.shape) if size > 1 and varied[axis] == {last}]
    if len(axes) == 2:
        grid = origin.flat.movedim(axes, (-2, -1)).reshape(-1, *(tensor.shape[axis] for axis in axes))[0]
        places = (grid % origin.shape[last]).flatten()
        ranks = places.argsort().argsort()
        yield Layout((grid.shape[0], grid.shape[1]), tuple(ranks.tolist()), origin.mover, event)


def _joined(measured: Measured, tensor: Tensor, event: Event) -> Iterator[Layout]:
    """A row that was two axes of a tensor."""
    coordinates = measured.usual.watched.coordinates
    origin = coordinates.origins.get(id(tensor))
    if origin is None or origin.mover is None or not origin.reshaped or tensor.ndim < 2 or tensor.shape[-1] < 2:
        return
    row = origin.flat.reshape(-1, tensor.shape[-1])[0]
    axes = sorted(coordinates.varying(tensor)[-1])
    if len(axes) == 2 and origin.shape[axes[0]] * origin.shape[axes[1]] == len(row):
        places = list(along_axes(row, origin.shape))
        pairs = zip(*(places[axis].tolist() for axis in axes), strict=True)
        wide = origin.shape[axes[1]]
        order = [0] * len(row)
        for place, (one, two) in enumerate(pairs):
            order[one * wide + two] = place
        yield Layout((origin.shape[axes[0]], wide), tuple(order), origin.mover, event)
