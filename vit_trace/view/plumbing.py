"""Folds the inside of torch's own attention to what a reader wants: projections, heads split, attention, output."""

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from math import prod

from msgspec.structs import replace

from vit_trace.base.trace import Stage
from vit_trace.view.fold import StageNode

REARRANGING = frozenset(
    "transpose view reshape permute unflatten flatten unsqueeze squeeze getitem expand contiguous chunk unbind".split()
)
"""Functions that only arrange a tensor otherwise."""

TORCHS = os.path.join("torch", "nn", "")
"""Part of the path of torch's own layers."""

ATTENDING = {"scaled_dot_product_attention", "mul", "bmm", "baddbmm"}
"""The first steps of attention."""

HEADS = "heads split"
"""What the rearrangements before attention do."""


def without_plumbing(nodes: Sequence[StageNode], failed: int | None) -> None:
    """Leave out, in every nn.MultiheadAttention, what only rearranges; not where the `failed` stage is in it."""
    for node in nodes:
        without_plumbing(node.children, failed)
        inside = node.children
        if (
            node.stage.operation != "MultiheadAttention"
            or not inside
            or not all(_is_torchs(one.stage) for one in inside)
        ):
            continue
        if failed is None or not inside[0].stage.index <= failed <= inside[-1].stage.index:
            node.children = _result_arranged(list(_essential(inside)), node.stage)


def _is_torchs(stage: Stage) -> bool:
    return stage.source is not None and TORCHS in stage.source.file


def _essential(nodes: Sequence[StageNode]) -> Iterator[StageNode]:
    """The steps that compute, and before attention what it gets: q, k and v in heads."""
    runs = [(key, list(run)) for key, run in groupby(nodes, lambda node: node.stage.operation in REARRANGING)]
    split = False
    for place, (arranges, run) in enumerate(runs):
        if not arranges:
            yield from run
        elif not split and place + 1 < len(runs) and runs[place + 1][1][0].stage.operation in ATTENDING:
            split, last = True, _shapes(run[-1])
            alike = [one for one in run if _shapes(one) == last]
            yield from (StageNode(replace(one.stage, operation=HEADS)) for one in alike)


def _shapes(node: StageNode) -> list[tuple[int, ...]]:
    return [spec.shape for spec in node.stage.outputs]


def _result_arranged(nodes: list[StageNode], module: Stage) -> list[StageNode]:
    """The nodes; the last projection with the shape that leaves the module."""
    last = next((node for node in reversed(nodes) if node.stage.operation == "linear"), None)
    if last is not None and module.outputs:
        result = replace(module.outputs[0], path="")
        if prod(result.shape) == prod(last.stage.outputs[0].shape):
            last.stage = replace(last.stage, outputs=(result,))
    return nodes
