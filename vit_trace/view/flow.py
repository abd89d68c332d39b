"""Decides which boxes a drawing of a trace has, and who feeds whom; one repeated block is open. No layout.

A box stands for a stage with all that is inside it, and for its repetitions. Edges follow what made each input:
`Stage.fed_by`. Steps that an outline hides hand on what they were fed with.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vit_trace.base.trace import Trace
from vit_trace.view.fold import StageNode
from vit_trace.view.outline import RowMaker, inclusive, nodes_of, says_nothing_new
from vit_trace.view.rows import Row

FEW = 6
"""Stages of a module at the top up to which it is opened."""


class Box(NamedTuple):
    """A part of the drawing: its row, the stages from `first` to before `end`, and the open block that it is in."""

    number: int
    row: Row
    first: int
    end: int
    group: int | None


class Group(NamedTuple):
    """A repeated block that is open: its name, and the indexes that its repetitions begin at."""

    label: str
    starts: Sequence[int]
    length: int


@dataclass
class Flow:
    """The boxes in the order they run, and the edges between them, by number; each edge once."""

    trace: Trace
    boxes: list[Box] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)


def flow_of(trace: Trace, stage: str | None = None) -> Flow:
    """The drawing of a trace, or of the stages that match a glob."""
    nodes = nodes_of(trace, stage)
    failed = trace.failure.stage if trace.failure else None
    maker = _Boxes(trace, _opened(nodes) | _around(nodes, failed))
    maker.add(nodes, "", None)
    maker.flow.edges = list(dict.fromkeys(maker.edges()))
    return maker.flow


def _opened(nodes: Sequence[StageNode]) -> set[int]:
    """The nodes to open, by identity: the way to the repeated block that does most, and all that is in it."""
    ways = [*_ways(nodes, ())]
    *above, best = max(ways, key=lambda way: inclusive(way[-1])[::-1]) if ways else (None,)
    inside = [best] if best else []
    for node in inside:
        inside += node.inside
    small = (node for node in nodes if len(node.inside) <= FEW and not any(one.inside for one in node.inside))
    return {id(node) for node in (*above, *inside, *small)}


def _around(nodes: Sequence[StageNode], failed: int | None) -> set[int]:
    """The nodes around the failing stage, by identity."""
    for node in nodes:
        found = _around(node.inside, failed)
        if found or any(one.block is None and one.stage.index == failed for one in node.inside):
            return found | {id(node)}
    return set()


def _ways(nodes: Sequence[StageNode], above: tuple[StageNode, ...]) -> Iterator[tuple[StageNode, ...]]:
    """From the top to each repeated block, outermost first."""
    for node in nodes:
        way = (*above, node)
        if node.block is not None or (node.repeats > 1 and node.children):
            yield way
        else:
            yield from _ways(node.inside, way)


class _Boxes:
    """Makes boxes of nodes, and the edges between them."""

    def __init__(self, trace: Trace, opened: set[int]) -> None:
        self.trace, self.opened, self.flow = trace, opened, Flow(trace)
        self.rows = RowMaker(None, True, trace.failure.stage if trace.failure else None, sized=False)
        self.sizes = [1] * len(trace.stages)
        """How many stages each has, with itself."""
        for stage in reversed(trace.stages):
            if stage.parent is not None:
                self.sizes[stage.parent] += self.sizes[stage.index]

    def add(self, nodes: Sequence[StageNode], prefix: str, group: int | None) -> None:
        """The boxes of nodes inside a module and a group."""
        for node in nodes:
            first, length = self._extent(node)
            starts = node.starts or [first]
            inside = [] if says_nothing_new(node) else node.inside
            if id(node) not in self.opened or not inside:
                row = self._row(node, prefix, False)
                self.flow.boxes.append(Box(len(self.flow.boxes), row, first, starts[-1] + length, group))
                continue
            inner = group
            if node.repeats > 1 and group is None:
                inner = len(self.flow.groups)
                self.flow.groups.append(Group(self._row(node, "", True).label, starts, length))
            self.add(inside, node.labels[0] if node.block is not None else node.stage.module or prefix, inner)

    def _row(self, node: StageNode, prefix: str, heading: bool) -> Row:
        block = node.block is not None
        return self.rows.block_row(node, 0, prefix) if block else self.rows.stage_row(node, 0, prefix, heading)

    def _extent(self, node: StageNode) -> tuple[int, int]:
        """(first stage, number of stages) of one repetition."""
        if node.block is None:
            return node.stage.index, self.sizes[node.stage.index]
        return node.starts[0], node.starts[1] - node.starts[0]

    def edges(self) -> Iterator[tuple[int, int]]:
        """(from, to) by the numbers of boxes: each stage to those that its inputs came from."""
        for stage in self.trace.stages:
            there = self._box(stage.index)
            for here in self._makers(stage.index) if there is not None else ():
                if there is not None and here.number < there.number:
                    yield here.number, there.number

    def _makers(self, index: int) -> Iterator[Box]:
        """The boxes that a stage is fed from; through stages that no box shows, from what these were fed with."""
        waiting, seen = [index], {index}
        for one in waiting:
            for feeding in self.trace.stages[one].fed_by:
                if not isinstance(feeding, int) or feeding in seen:
                    continue
                seen.add(feeding)
                if (box := self._box(feeding)) is not None:
                    yield box
                else:
                    waiting.append(feeding)

    def _box(self, index: int) -> Box | None:
        """The box that shows a stage, or its counterpart in the first repetition of an open block."""
        for group in self.flow.groups:
            place = bisect_right(group.starts, index) - 1
            if place >= 0 and index < group.starts[place] + group.length:
                index += group.starts[0] - group.starts[place]
                break
        place = bisect_right(self.flow.boxes, index, key=lambda box: box.first) - 1
        box = self.flow.boxes[place] if place >= 0 else None
        return box if box is not None and index < box.end else None
