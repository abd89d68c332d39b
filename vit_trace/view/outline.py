"""Decides what to show of a trace: an outline of rows, folded and filtered, with every number. No layout, no colour."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from vit_trace.base.trace import Stage, Trace
from vit_trace.base.words import SIGNS, shape_text, unnumbered
from vit_trace.config.words import cut
from vit_trace.dims.values import UNKNOWN
from vit_trace.view.fold import Folder, StageNode, collapse_similar, matching, range_label, tree
from vit_trace.view.plumbing import without_plumbing
from vit_trace.view.rows import Row

LONG = 120
"""Rows above which similar blocks are collapsed."""

MANY_IDLE = 4
"""Folded views hide nn.Identity from this many modules on."""

SHORT_NAMES = {
    "scaled_dot_product_attention": "attention (sdpa)",
    "multi_head_attention_forward": "attention (mha)",
    "adaptive_avg_pool2d": "adaptive_avg_pool",
    "NonDynamicallyQuantizableLinear": "Linear",
}
"""Operation -> a shorter name for it on a screen."""

MOST_PATTERN = 400
"""Characters of an einops pattern above which the rest is cut off."""

SHORT_TEXT = 28
"""Longest source text, in characters, that is shown as the operation."""


@dataclass(frozen=True)
class Outline:
    """The rows of a view, and what its closing lines need: whether it shows a part only, and the numbers of that."""

    rows: tuple[Row, ...]
    collapsed: int
    trace: Trace
    partial: bool = False
    parameters: int = 0
    flops: int = 0


def outline(
    trace: Trace, stage: str | None = None, levels: int | None = None, fold: bool = True, sized: bool = True
) -> Outline:
    """The rows of a trace, `levels` deep; with `fold`, equal consecutive blocks once. A row counts what it hides.

    Not `sized`, no operation says a size.
    """
    nodes = nodes_of(trace, stage, levels, fold)
    failed = trace.failure.stage if trace.failure else None
    maker = RowMaker(levels, fold, failed, sized)
    rows = tuple(maker.rows(nodes))
    collapsed = 0
    if fold and len(rows) > LONG and (stage, levels, failed) == (None, None, None):
        collapsed = collapse_similar(nodes)
        rows = tuple(maker.rows(nodes))
    parameters, flops = _summed(nodes)
    return Outline(rows, collapsed, trace, stage is not None, parameters, flops)


def nodes_of(trace: Trace, stage: str | None = None, levels: int | None = None, fold: bool = True) -> list[StageNode]:
    """The stages that an outline shows, as a tree; with `fold`, equal consecutive blocks once."""
    nodes = chosen(trace, stage)
    if not fold:
        return nodes
    if (stage, levels) == (None, None):
        without_plumbing(nodes, trace.failure.stage if trace.failure else None)
    if stage is None and len(idle := _idle_stages(trace)) >= MANY_IDLE:
        nodes = _without(nodes, idle)
    nodes = Folder().fold(nodes)
    return [_unwrapped(node) for node in nodes] if levels is None else nodes


def chosen(trace: Trace, stage: str | None) -> list[StageNode]:
    """The nodes of the stages that match a glob, or of all, without one for the whole model."""
    nodes = tree(trace)
    if stage is not None:
        nodes = matching(nodes, stage) or matching(tree(trace), f"*.{stage}")
    inside = (node.children if node.stage.kind == "module" and not node.stage.module else [node] for node in nodes)
    return list(chain.from_iterable(inside))


def _idle_stages(trace: Trace) -> set[int]:
    """Indexes of nn.Identity modules, which many models keep in place of what their variants have."""
    alone = {stage.index for stage in trace.stages if stage.outputs} - {stage.parent for stage in trace.stages}
    return {i for i in alone if (trace.stages[i].kind, trace.stages[i].operation) == ("module", "Identity")}


def _without(nodes: list[StageNode], idle: set[int]) -> list[StageNode]:
    kept = [node for node in nodes if node.stage.index not in idle]
    for node in kept:
        node.children = _without(node.children, idle)
    return kept


def _unwrapped(node: StageNode) -> StageNode:
    """The node; what is inside a module that only holds one other: `blocks.0…11` needs no heading `blocks`."""
    node.inside[:] = [_unwrapped(inner) for inner in node.inside]
    stage = node.stage
    own = stage.parameters or stage.flops or not stage.outputs
    if node.block is not None or stage.kind != "module" or node.repeats > 1 or own or len(node.children) != 1:
        return node
    inner = node.children[0]
    below = inner.block is not None or (inner.stage.kind == "module" and inner.children)
    return inner if below else node


class RowMaker(NamedTuple):
    """Makes the rows of nodes, `levels` deep; hides what says nothing new if `fold`; `failed` is the failing stage.

    Not `sized`, no operation says a size, for a view whose sizes may change.
    """

    levels: int | None
    fold: bool
    failed: int | None
    sized: bool = True

    def rows(self, nodes: Sequence[StageNode], level: int = 0, prefix: str = "") -> Iterator[Row]:
        """The rows of nodes and of what is inside them; names are relative to the module `prefix`."""
        for node in nodes:
            hides_below = self.levels is not None and level + 1 >= self.levels
            if node.block is not None:
                yield self.block_row(node, level, prefix)
                if not hides_below:
                    yield from self.rows(node.block, level + 1, node.labels[0])
                continue
            children = [] if node.like or (self.fold and says_nothing_new(node)) else node.children
            heading = bool(children) and not hides_below
            yield self.stage_row(node, level, prefix, heading)
            if heading:
                yield from self.rows(children, level + 1, node.stage.module or prefix)

    def block_row(self, node: StageNode, level: int, prefix: str) -> Row:
        """The row over a repeated block."""
        parameters, flops = inclusive(node)
        label, times = _relative(node.block_label, prefix), node.repeats
        return Row(level, label, repeats=times, parameters=parameters, flops=flops, heading=True, node=node)

    def stage_row(self, node: StageNode, level: int, prefix: str, heading: bool) -> Row:
        """The row of a stage, with the numbers of what it hides."""
        stage = node.stage
        failed = stage.index == self.failed
        parameters, flops = (stage.parameters, stage.flops) if heading and node.repeats == 1 else inclusive(node)
        done = operation(stage, self.sized)
        if node.repeats > 1 and stage.operation == "getitem":  # q, k, v  qkv[…]
            done = re.sub(r"\[\d+\]", "[…]", done)
        return Row(
            level,
            _node_label(node, prefix),
            f"{done}, as {node.like}" if node.like else done,
            shapes=stage.inputs if failed else stage.outputs,
            before=stage.inputs,
            repeats=node.repeats,
            parameters=parameters,
            flops=flops,
            source=stage.source,
            heading=heading,
            failed=failed,
            stage=stage.index,
            mixes=node.stage.mixes or (),
            node=node,
        )


def inclusive(node: StageNode) -> tuple[int, int]:
    """(parameters, FLOPs) of a node and everything inside it, times its repetitions; UNKNOWN where a part is."""
    own = (node.stage.parameters, node.stage.flops) if node.block is None else (0, 0)
    parameters, flops = _summed(node.inside, own)
    return parameters if parameters == UNKNOWN else node.repeats * parameters, node.repeats * flops


def _summed(nodes: Iterable[StageNode], own: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """(parameters, FLOPs) of the nodes and `own`; UNKNOWN where a part is."""
    sums = [*map(inclusive, nodes), own]
    unknown = any(one == UNKNOWN for one, _ in sums)
    return UNKNOWN if unknown else sum(one for one, _ in sums), sum(two for _, two in sums)


def says_nothing_new(node: StageNode) -> bool:
    """Whether a module holds just one function with the module's own output: F.layer_norm in a LayerNorm."""
    if len(node.children) != 1 or node.children[0].children:
        return False
    inner = node.children[0].stage
    return inner.kind == "function" and bool(inner.outputs) and inner.outputs == node.stage.outputs


def _node_label(node: StageNode, prefix: str) -> str:
    """The name to show, relative to the heading above; for a folded run, all names, equal ones once."""
    if node.stage.kind in ("function", "einops"):
        prefix = node.stage.module
    names = [_relative(name, prefix) for name in (node.labels or [node.stage.name])]
    if len(names) > 1 and node.stage.kind == "module":
        return range_label([[name] for name in names])[0]
    names = list(dict.fromkeys(names))
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}…"


def _relative(name: str, prefix: str) -> str:
    """`name` without the module path that the heading above shows already and without `#2`."""
    name = unnumbered(name)
    return name[len(prefix) + 1 :] if prefix and name.startswith(prefix + ".") else name


def operation(stage: Stage, sized: bool = True) -> str:
    """What a stage does, in a few words; with the shapes of what else it takes unless not `sized`."""
    if stage.pattern:
        pattern = cut(stage.pattern.replace("->", "→"), MOST_PATTERN)
        return pattern if stage.operation in ("Rearrange", "rearrange") else f"{stage.operation} {pattern}"
    if stage.kind != "function":
        return SHORT_NAMES.get(stage.operation, stage.operation)
    text = re.sub(r"\bself\.", "", stage.source.text) if stage.source else ""
    written = stage.operation in SIGNS or stage.operation == "getitem"
    if written and 0 < len(text) <= SHORT_TEXT and "\n" not in text:
        return text
    word = (SIGNS | SHORT_NAMES).get(stage.operation, stage.operation)
    if not sized:
        return word
    given = [spec.shape for spec in stage.inputs]
    if stage.operation in SIGNS and stage.outputs:  # what broadcasts
        others = [shape for shape in given if shape != stage.outputs[0].shape]
    else:
        others = given if stage.operation in ("cat", "stack") else [shape for shape in given[1:] if shape != given[0]]
    if 0 < len(others) <= 3 and stage.operation not in ("linear", "conv2d"):
        return f"{word} {', '.join(shape_text(shape) for shape in others)}"
    return word
