"""Builds the tree of a trace's stages, folds equal consecutive blocks, collapses similar ones. No layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import takewhile
from typing import NamedTuple

from vit_trace.base.trace import Stage, Trace
from vit_trace.base.words import name_range, unnumbered

LONGEST_PERIOD = 64
"""Most consecutive stages that can be one repeated block; longer repetitions are not folded."""

SMALLEST_COLLAPSED = 6
"""Fewest stages of a block that is collapsed because it repeats an earlier one at other sizes."""


@dataclass
class StageNode:
    """A stage with the stages inside it; after folding, several equal ones.

    `block` holds the stages of a repeated block; `like` names the earlier block that a collapsed one repeats; `starts`
    are the indexes that the repetitions begin at.
    """

    stage: Stage
    children: list[StageNode] = field(default_factory=list)
    repeats: int = 1
    labels: list[str] = field(default_factory=list)
    block: list[StageNode] | None = None
    block_label: str = ""
    like: str = ""
    starts: list[int] = field(default_factory=list)

    @property
    def inside(self) -> list[StageNode]:
        return self.children if self.block is None else self.block


def tree(trace: Trace) -> list[StageNode]:
    """The top nodes of the stages."""
    nodes = [StageNode(stage) for stage in trace.stages]
    for node in nodes:
        if node.stage.parent is not None:
            nodes[node.stage.parent].children.append(node)
    return [node for node in nodes if node.stage.parent is None]


def matching(nodes: list[StageNode], pattern: str) -> list[StageNode]:
    """The nodes whose name or operation matches the glob, with the nodes inside and around them."""
    kept = []
    for node in nodes:
        if fnmatchcase(node.stage.name, pattern) or fnmatchcase(node.stage.operation, pattern):
            kept.append(node)
        elif inside := matching(node.children, pattern):
            node.children = inside
            kept.append(node)
    return kept


def layer_nodes(nodes: Sequence[StageNode], depth: int) -> list[StageNode]:
    """The outermost modules, or blocks that begin with one, that repeat so many times."""
    found: list[StageNode] = []
    for node in nodes if depth > 1 else ():
        layers = node.repeats == depth and node.stage.kind == "module"
        found += [node] if layers else layer_nodes(node.inside, depth)
    return found


class _Repetition(NamedTuple):
    """`times` blocks of `period` stages."""

    period: int
    times: int


class Folder:
    """Folds equal consecutive blocks; equal subtrees get equal small numbers, so that they compare fast."""

    def __init__(self) -> None:
        self.numbers: dict[object, int] = {}
        self.signatures: dict[int, int] = {}

    def signature(self, node: StageNode) -> int:
        """A number that two nodes share if they show the same except for their place in the model."""
        stage = node.stage
        if stage.index not in self.signatures:
            name = re.sub(r"\d+", "*", unnumbered(stage.name).rpartition(".")[2])  # without its place in the model
            if stage.kind in ("function", "einops"):  # its result has any name
                name = ""
            what = (name, stage.kind, stage.operation, stage.pattern, stage.parameters, stage.flops)
            tensors = tuple((spec.shape, spec.dims, spec.dtype) for spec in (*stage.inputs, *stage.outputs))
            key = (what, tensors, tuple(map(self.signature, node.children)))
            self.signatures[stage.index] = self.numbers.setdefault(key, len(self.numbers))
        return self.signatures[stage.index]

    def fold(self, nodes: list[StageNode]) -> list[StageNode]:
        """The same nodes with runs of equal blocks replaced by one."""
        ids = [self.signature(node) for node in nodes]
        folded: list[StageNode] = []
        place = 0
        while place < len(nodes):
            run = _longest_run(ids, place)
            modules = [node.stage.kind == "module" for node in nodes[place : place + run.period]]
            if run.period > 1 and run.times < 4 and not any(modules):
                run = _Repetition(1, 1)  # a few steps that look alike are not a block of the model
            if run.times > 1 and not modules[0]:
                starts = [place + shift for shift, is_module in enumerate(modules) if is_module]
                start = next((start for start in starts if _longest_run(ids, start) == run), place)
                if start > place:  # begin the block at its module rather than at the step before it
                    folded += nodes[place:start]
                    place = start
                    continue
            end = place + run.period * run.times
            blocks = [nodes[start : start + run.period] for start in range(place, end, run.period)]
            folded.append(self.folded(blocks))
            place = end
        for node in folded:
            if node.block is None:
                node.children = self.fold(node.children)
        return folded

    def folded(self, blocks: list[list[StageNode]]) -> StageNode:
        """One node for equal blocks: the node itself if each is one stage, else a heading over the block's stages."""
        first, starts = blocks[0][0], [block[0].stage.index for block in blocks]
        if len(blocks) == 1:
            return first
        if len(blocks[0]) == 1:
            first.repeats, first.starts = len(blocks), starts
            first.labels = [block[0].stage.name for block in blocks]
            return first
        label, inner = range_label([[node.stage.name for node in block] for block in blocks])
        inside = self.fold(blocks[0])
        return StageNode(first.stage, [], len(blocks), [inner], block=inside, block_label=label, starts=starts)


def _longest_run(ids: Sequence[int], place: int) -> _Repetition:
    """The repetition at `place` that covers most stages; a run of one where nothing repeats."""
    best = _Repetition(1, 1)
    for period in range(1, min(LONGEST_PERIOD, (len(ids) - place) // 2) + 1):
        if ids[place] != ids[place + period]:
            continue
        count = 1
        while ids[place + period * count : place + period * (count + 1)] == ids[place : place + period]:
            count += 1
        if count > 1 and period * count > best.period * best.times:
            best = _Repetition(period, count)
        if count > 1 and period * count >= len(ids) - place - period:
            break
    return best


def range_label(names: list[list[str]]) -> tuple[str, str]:
    """("layers.0…5", "layers.0"): the name of a block over all its repetitions, and of the first one."""
    modules = [[one for one in block if one == unnumbered(one) and re.search(r"\d", one)] or block for block in names]
    first, last = _common_parts(modules[0]), _common_parts(modules[-1])
    for place, (start, end) in enumerate(zip(first, last, strict=False)):
        if start != end:
            if start.isdigit() and end.isdigit():
                return ".".join((*first[:place], f"{start}…{end}")), ".".join(first[: place + 1])
            break
    return name_range(modules[0][0], modules[-1][-1]), ".".join(first)


def _common_parts(names: list[str]) -> list[str]:
    """The dotted beginning that all names share."""
    levels = zip(*(name.split(".") for name in names), strict=False)
    return [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]


def collapse_similar(nodes: list[StageNode], seen: dict[object, str] | None = None) -> int:
    """Collapse every module that repeats the steps of an earlier one at other sizes; how many are collapsed.

    A collapsed node names the earlier one in `like`; its children stay, for the sums.
    """
    seen = {} if seen is None else seen
    count = 0
    for node in nodes:
        if node.block is not None:
            count += collapse_similar(node.block, seen)
        elif node.children and node.stage.kind == "module":
            steps = _step_pattern(node)
            if steps in seen and _stages_in(node) >= SMALLEST_COLLAPSED:
                node.like = seen[steps]
                count += 1
                continue
            seen.setdefault(steps, node.stage.name)
            count += collapse_similar(node.children, seen)
    return count


def _step_pattern(node: StageNode) -> object:
    """What happens inside a node at any size: the operations in their order and how often they repeat."""
    stage = node.stage
    here = (stage.kind, stage.operation, stage.pattern) if node.block is None else ()
    return (*here, tuple((child.repeats, _step_pattern(child)) for child in node.inside if not _is_dropping(child)))


def _is_dropping(node: StageNode) -> bool:
    """Whether a module drops at random or does nothing: a block has one or not depending on its depth only."""
    stage = node.stage
    same = [spec.shape for spec in stage.inputs] == [spec.shape for spec in stage.outputs]
    named = re.search("Drop|Identity|Stochastic", stage.operation)
    return stage.kind == "module" and same and not stage.parameters and named is not None


def _stages_in(node: StageNode) -> int:
    return (node.block is None) + sum(map(_stages_in, node.inside))
