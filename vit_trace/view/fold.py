"""The tree of a trace's stages, with equal consecutive blocks as one, and blocks like one above closed. No layout.

A view shows the nodes in their order; what a node hides is still counted in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from vit_trace.base.trace import Stage, Trace
from vit_trace.base.words import name_range

LONGEST_PERIOD = 64
"""Stages in a row that may make one repeated block."""

SMALLEST_CLOSED = 6
"""Stages that a block has at least, if it is closed for being like one above."""


@dataclass
class Node:
    """A stage with the stages inside it; several equal ones once they are folded."""

    stage: Stage
    children: list[Node] = field(default_factory=list)
    repeats: int = 1
    labels: list[str] = field(default_factory=list)
    block: list[Node] | None = None
    block_label: str = ""
    like: str = ""


# -- the tree ------------------------------------------------------------------------------------------------------


def tree(trace: Trace) -> list[Node]:
    """The top nodes of the stages."""
    nodes = [Node(stage) for stage in trace.stages]
    top: list[Node] = []
    for node in nodes:
        parent = node.stage.parent
        (top if parent is None else nodes[parent].children).append(node)
    return top


def matching(nodes: list[Node], pattern: str) -> list[Node]:
    """The nodes whose name fits the glob, with all inside them, and the nodes around them."""
    kept = []
    for node in nodes:
        name = node.stage.name
        if fnmatchcase(name, pattern) or fnmatchcase(node.stage.operation, pattern):
            kept.append(node)
            continue
        node.children = matching(node.children, pattern)
        if node.children:
            kept.append(node)
    return kept


# -- folding -------------------------------------------------------------------------------------------------------


class Folder:
    """Finds equal consecutive blocks; equal subtrees get equal small numbers, so comparing them costs nothing."""

    def __init__(self) -> None:
        self.numbers: dict[object, int] = {}
        self.signatures: dict[int, int] = {}

    def signature(self, node: Node) -> int:
        """A number that two nodes share when they show the same thing but for their place in the model."""
        stage = node.stage
        if stage.index not in self.signatures:
            key = (
                general_name(stage),
                stage.kind,
                stage.operation,
                stage.pattern,
                tuple((spec.shape, spec.dims, spec.dtype) for spec in (*stage.inputs, *stage.outputs)),
                stage.parameters,
                stage.flops,
                tuple(self.signature(child) for child in node.children),
            )
            self.signatures[stage.index] = self.numbers.setdefault(key, len(self.numbers))
        return self.signatures[stage.index]

    def fold(self, nodes: list[Node]) -> list[Node]:
        """The same nodes with runs of equal blocks replaced by one."""
        ids = [self.signature(node) for node in nodes]
        folded: list[Node] = []
        place = 0
        while place < len(nodes):
            period, count = longest_run(ids, place)
            if (
                period > 1
                and count < 4
                and not any(node.stage.kind == "module" for node in nodes[place : place + period])
            ):
                period, count = 1, 1  # a few steps that look alike are no block of the model
            if count > 1 and period > 1 and nodes[place].stage.kind != "module":
                place, skipped = next_module(nodes, ids, place, period, count, folded)
                if skipped:
                    continue
            block = nodes[place : place + period]
            repeats = [nodes[place + period * turn : place + period * (turn + 1)] for turn in range(count)]
            folded.append(self.folded(block, repeats))
            place += period * count
        for node in folded:
            if node.block is None:
                node.children = self.fold(node.children)
        return folded

    def folded(self, block: list[Node], repeats: list[list[Node]]) -> Node:
        """One node for equal blocks: the node itself if it is one stage, else a heading over the block's stages."""
        count = len(repeats)
        first = block[0]
        if count == 1:
            return first
        if len(block) == 1:
            first.repeats = count
            first.labels = [blocks[0].stage.name for blocks in repeats]
            return first
        label, inner = range_label([[node.stage.name for node in blocks] for blocks in repeats])
        heading = Node(first.stage, [], count, block=[], block_label=label)
        heading.block = self.fold(block)
        heading.labels = [inner]
        return heading


def general_name(stage: Stage) -> str:
    """The stage's name without its place: no numbers, no `#2`; what a function is bound to does not matter."""
    if stage.kind in ("function", "einops"):
        return ""
    return re.sub(r"\d+", "*", stage.name.split("#")[0].rpartition(".")[2])


def longest_run(ids: Sequence[int], place: int) -> tuple[int, int]:
    """(period, count) of the repetition at `place` that covers most; (1, 1) where nothing repeats."""
    best = (1, 1)
    for period in range(1, min(LONGEST_PERIOD, (len(ids) - place) // 2) + 1):
        if ids[place] != ids[place + period]:
            continue
        count = 1
        while ids[place + period * count : place + period * (count + 1)] == ids[place : place + period]:
            count += 1
        if count > 1 and period * count > best[0] * best[1]:
            best = (period, count)
        if count > 1 and period * count >= len(ids) - place - period:
            break
    return best


def next_module(
    nodes: list[Node], ids: list[int], place: int, period: int, count: int, folded: list[Node]
) -> tuple[int, bool]:
    """Start a block at its module rather than at the step before it, where that covers as many blocks."""
    for shift in range(1, period):
        if nodes[place + shift].stage.kind == "module" and longest_run(ids, place + shift) == (period, count):
            folded.extend(nodes[place : place + shift])
            return place + shift, True
    return place, False


def range_label(names: list[list[str]]) -> tuple[str, str]:
    """("layers.0…5", "layers.0"): how a block of stages is called over all its repetitions, and in the first one."""
    modules = [[name for name in block if "#" not in name and re.search(r"\d", name)] or block for block in names]
    first, last = common_parts(modules[0]), common_parts(modules[-1])
    for place, (start, end) in enumerate(zip(first, last, strict=False)):
        if start != end:
            if start.isdigit() and end.isdigit():
                return ".".join((*first[:place], f"{start}…{end}")), ".".join(first[: place + 1])
            break
    return name_range(modules[0][0], modules[-1][-1]), ".".join(first)


def common_parts(names: list[str]) -> list[str]:
    """The dotted beginning that all names share."""
    parts = [name.split(".") for name in names]
    common = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return common


# -- closing -------------------------------------------------------------------------------------------------------


def close_alike(nodes: list[Node], seen: dict[object, str] | None = None) -> int:
    """Close every module whose inside goes the same way as that of one above, at other sizes; how many are closed.

    A closed node says in `like` whose inside it shares; its children stay, for the sums.
    """
    seen = {} if seen is None else seen
    count = 0
    for node in nodes:
        if node.block is not None:
            count += close_alike(node.block, seen)
        elif node.children and node.stage.kind == "module":
            way = way_of(node)
            if way in seen and stages_in(node) >= SMALLEST_CLOSED:
                node.like = seen[way]
                count += 1
                continue
            seen.setdefault(way, node.stage.name)
            count += close_alike(node.children, seen)
    return count


def way_of(node: Node) -> object:
    """What happens inside a node, whatever its sizes: the operations in their order and how often they repeat."""
    stage = node.stage
    inside = node.block if node.block is not None else node.children
    here = (stage.kind, stage.operation, stage.pattern) if node.block is None else ()
    return (*here, tuple((child.repeats, way_of(child)) for child in inside if not is_dropping(child)))


DROPPING = re.compile("Drop|Identity|Stochastic")


def is_dropping(node: Node) -> bool:
    """A module that drops at random or does nothing at all: whether a block has one depends on its depth only."""
    stage = node.stage
    same = [spec.shape for spec in stage.inputs] == [spec.shape for spec in stage.outputs]
    return stage.kind == "module" and same and not stage.parameters and bool(DROPPING.search(stage.operation))


def stages_in(node: Node) -> int:
    inside = node.block if node.block is not None else node.children
    return (node.block is None) + sum(map(stages_in, inside))
