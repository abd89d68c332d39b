"""Reads the grid that a table of positions was made for out of its values: rows and columns of sines and cosines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import isqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vit_trace.base.trace import Stage, Trace
from vit_trace.mixing.attention import TIMES
from vit_trace.mixing.coordinates import RESHAPES
from vit_trace.mixing.measure import Measured, asked_once, on_one_thread
from vit_trace.mixing.sums import ADDS
from vit_trace.mixing.watch import Event
from vit_trace.record.build.anyhow import INITIALISED
from vit_trace.targets.complaints import silenced
from vit_trace.targets.target import Sample

MOST_LEARNED = 2
"""Learned tokens that a table may have a position for, before those of the patches."""

ALIKE = 1e-4
MOST_FEATURES = 0.9
"""Share of a table's features that have to follow its rows or its columns alone."""

Grid = tuple[int, int]


class Table(NamedTuple):
    """A table of positions by its name, the grid that it was made for, that of the tokens, and what adds it."""

    name: str
    made_for: Grid
    tokens: Grid
    stage: Stage


def other_grids(trace: Trace, sample: Sample) -> Iterator[Table]:
    """Tables that were made for another grid than that of the tokens that they are added to, with as many places.

    The model is built with values, and not run: only where the grid is not square and a square one has as many places.
    """
    grids = [one for one in map(_grid_of_map, trace.stages) if one is not None]
    sums = [stage for stage in trace.stages if stage.operation in ADDS]
    suspects = [
        one for one in dict.fromkeys(grids) if one[0] != one[1] and isqrt(one[0] * one[1]) ** 2 == one[0] * one[1]
    ]
    added = [(grid, stage) for grid in suspects for stage in sums if _fits(stage, grid)]
    if not added:
        return
    with silenced(), on_one_thread():
        model: nn.Module = INITIALISED.build(sample.build).model
    for name, table in (*model.named_buffers(), *model.named_parameters()):
        for grid, stage in added:
            if _spare(table, stage, grid):
                found = _grid_of(table.detach().reshape(-1, table.shape[-1])[-grid[0] * grid[1] :])
                if found is not None and found not in (grid, grid[::-1]):
                    yield Table(name, found, grid, stage)
                break


def _grid_of_map(stage: Stage) -> Grid | None:
    """The height and width of what a convolution makes."""
    shape = stage.outputs[0].shape if len(stage.outputs) == 1 else ()
    return (shape[2], shape[3]) if stage.operation == "Conv2d" and len(shape) == 4 else None


def _fits(stage: Stage, grid: Grid) -> bool:
    """Whether a step makes one token for each place of a grid, and few more."""
    shape = stage.outputs[0].shape if stage.outputs else ()
    return len(shape) == 3 and 0 <= shape[1] - grid[0] * grid[1] <= MOST_LEARNED


def _spare(table: Tensor, stage: Stage, grid: Grid) -> bool:
    """Whether a table has a place for each token of a grid, and few more."""
    wide = bool(table.ndim) and table.shape[-1] == stage.outputs[0].shape[-1]
    return wide and 0 <= table.numel() // table.shape[-1] - grid[0] * grid[1] <= MOST_LEARNED


def _grid_of(table: Tensor) -> Grid | None:
    """The grid where each feature of a table follows the rows or the columns alone."""
    count = len(table)
    for wide in range(2, count // 2 + 1):
        if count % wide:
            continue
        places = table.reshape(count // wide, wide, -1)
        by_row = (places - places[:, :1]).abs().amax((0, 1)) < ALIKE
        by_column = (places - places[:1]).abs().amax((0, 1)) < ALIKE
        some = (by_row & ~by_column).any() and (by_column & ~by_row).any()
        if some and (by_row | by_column).float().mean() >= MOST_FEATURES:
            return count // wide, wide
    return None


@asked_once
def turned_tables(measured: Measured) -> Iterator[tuple[Event, Grid, Grid]]:
    """Sums and products of tokens and positions that were flattened in rows of columns: the event, and both grids.

    The grid of the image and the other way round, where they differ; a parameter that was only moved is learned so.
    """
    images = [
        one.shape[-2:] for one in measured.usual.starts.values() if one.ndim > 3 and one.shape[-2] != one.shape[-1]
    ]
    flattened = {id(one.made[0]): grid for one in measured.events if (grid := _flattened(one, images)) is not None}
    order = {grid for key, grid in flattened.items() if key in measured.alive}
    origins = measured.usual.watched.coordinates.origins
    for event in measured.events:
        alive = [id(one) in measured.alive for one in event.given]
        if event.name not in ADDS | TIMES or len(order) != 1 or sorted(alive) != [False, True]:
            continue
        table, ((rows, columns),) = event.given[alive.index(False)], order
        made = [one for one in measured.leading_to([table]) if flattened.get(id(one.made[0])) == (columns, rows)]
        base = origins[id(table)].base if id(table) in origins else 0
        learned = id(table) in measured.parameters or base in measured.parameters
        read = table.ndim > 1 and _grid_of(table.detach().reshape(-1, table.shape[-1])) == (columns, rows)
        if (read or (made and not learned)) and rows * columns in event.made[0].shape:
            yield event, (columns, rows), (rows, columns)


def _flattened(event: Event, images: list[torch.Size]) -> Grid | None:
    """The rows and columns that a reshape joins, where they are those of an image, or the other way round."""
    before, after = (event.given[0].shape, event.made[0].shape) if event.name in RESHAPES else ((), ())
    for at, (one, two) in enumerate(pairwise(before)):
        joined = (*before[:at], one * two) == after[: at + 1] and min(one, two) > 1
        if joined and any(one * wide == two * high or one * high == two * wide for high, wide in images):
            return one, two
    return None


@asked_once
def odd_offsets(measured: Measured) -> Iterator[tuple[Event, str]]:
    """Lookups of relative positions, one row for each offset on a grid, where offsets share rows: what is odd.

    Only where the table has as many rows as there are offsets: positions along the sequence have fewer.
    """
    convolved = (one.made[0].shape for one in measured.events if one.name == "conv2d")
    maps = {(shape[-2], shape[-1]) for shape in convolved}
    for event in measured.events:
        if event.name != "__getitem__" or len(event.given) != 2 or id(event.given[0]) in measured.alive:
            continue
        table, index = event.given
        side = isqrt(index.numel())
        for high, wide in {*maps, (isqrt(side), isqrt(side))}:
            count = (2 * high - 1) * (2 * wide - 1)
            if side**2 != index.numel() or high * wide != side or index.is_floating_point() or min(high, wide) < 2:
                continue
            rows = _rows_of_offsets(index, high, wide) if count in table.shape else None
            if rows is not None:
                used = len({*rows.flatten().tolist()})
                even = all(len({*rows.diff(dim=axis).flatten().tolist()}) == 1 for axis in (0, 1))
                if even and used < count:
                    yield event, f"gives {count} offsets of a {high}×{wide} grid {used} rows"
            elif count in table.shape and (wide, high) not in maps and _rows_of_offsets(index, wide, high) is not None:
                yield event, f"takes tokens of a {high}×{wide} grid for those of {wide}×{high}"


def _rows_of_offsets(index: Tensor, high: int, wide: int) -> Tensor | None:
    """The row for each offset of two places of a grid; None where it is not the offset that decides."""
    down, across = (one.flatten() for one in torch.meshgrid(torch.arange(high), torch.arange(wide), indexing="ij"))
    key = (down[:, None] - down + high - 1) * (2 * wide - 1) + across[:, None] - across + wide - 1
    rows = torch.zeros((2 * high - 1) * (2 * wide - 1), dtype=index.dtype)
    rows[key.flatten()] = index.flatten()
    return rows.reshape(2 * high - 1, -1) if torch.equal(rows[key.flatten()], index.flatten()) else None
