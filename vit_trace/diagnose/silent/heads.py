"""Heads that do not divide the width, in a model that rounds down: the rest of the features is left out. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from vit_trace.base.trace import Diagnostic, Remedy, Stage, Trace
from vit_trace.diagnose.changes.settings import nearest
from vit_trace.diagnose.found import FLATTENING, Found
from vit_trace.targets.target import set_words

PROJECTED = (1, 2, 3)
"""What one layer projects to: queries, keys and values apart, two of them, or all."""


def heads_left_over(trace: Trace) -> Iterator[Found]:
    """The first layer that projects a width of 768 to 7 heads of 768 // 7: 763 features."""
    weights = {parameter.name: parameter.shape for parameter in trace.parameters}
    for stage in trace.stages:
        weight = weights.get(f"{stage.module}.weight" if stage.module else "weight", ())
        if stage.operation != "Linear" or len(weight) != 2 or not stage.outputs:
            continue
        pairs = split_into(trace, stage)
        heads = next((heads for heads, each in pairs if rounded_down(weight, heads, each)), None)
        if heads is not None:
            yield left_over(trace, stage, weight[1], heads)
            return


def split_into(trace: Trace, stage: Stage) -> list[tuple[int, int]]:
    """Neighbouring sizes that the features of a layer's output are taken apart into by what comes next."""
    made = stage.outputs[0].shape
    for step in trace.stages[stage.index + 1 : stage.index + 8]:
        if step.operation in FLATTENING and step.inputs and step.outputs and step.inputs[0].shape == made:
            return [pair for pair in pairwise(step.outputs[0].shape) if pair[0] > 1]
    return []


def rounded_down(weight: tuple[int, ...], heads: int, each: int) -> bool:
    """Whether a layer projects its whole width but what is left over after a division by the heads."""
    made, width = weight
    return each == width // heads and width % heads > 0 and any(made == times * each * heads for times in PROJECTED)


def left_over(trace: Trace, stage: Stage, width: int, heads: int) -> Found:
    each = width // heads
    message = f"{stage.name} makes {heads} heads of {each}: {heads * each} features of {width}"
    note = f"{heads} does not divide {width}: {width} = {heads}·{each} + {width - heads * each}"
    names = [name for name, value in trace.target.hyperparameters.items() if value == heads and "head" in name]
    remedies = [
        Remedy(set_words(name, value), "hyperparameter", {name: value})
        for value in nearest(heads)
        if width % value == 0
        for name in names
    ]
    return Diagnostic("heads-do-not-divide-dim", "warning", message, stage.source, (note,)), remedies[:2]
