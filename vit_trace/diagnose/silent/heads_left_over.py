"""Finds heads that do not divide the embedding dimension in a model that rounds down: some features are left out."""

from collections.abc import Iterator
from itertools import pairwise

from vit_trace.base.numbers import numbers_near
from vit_trace.base.trace import Stage, Trace
from vit_trace.diagnose.changes.records import SettingChange
from vit_trace.diagnose.silent import RESHAPES, MakeCase, Mistake, silent_mistake
from vit_trace.targets.target import set_words

PROJECTED = (1, 2, 3)
"""How many of queries, keys and values one layer projects to."""

NEXT = 8
"""Stages after a projection among which the split into heads is looked for."""


@silent_mistake("heads-do-not-divide-dim")
def heads_left_over(trace: Trace, _: MakeCase) -> Iterator[Mistake]:
    """dim is not a multiple of heads, and the model rounds the head dimension down without a warning.
    Example: hidden_size 770 with 12 heads: each head gets 64 of 64.17 features, attention is 768 wide.
    It runs, but a few features are lost. Choose heads that divide dim: `vit-trace check SPEC --suggest heads`.
    """
    weights = {parameter.name: parameter.shape for parameter in trace.parameters}
    for stage in trace.stages:
        weight = weights.get(f"{stage.module}.weight" if stage.module else "weight", ())
        if stage.operation != "Linear" or len(weight) != 2 or not stage.outputs:
            continue
        made, width = weight
        for heads, each in _splits(trace, stage):
            projected = made in [times * each * heads for times in PROJECTED]
            if projected and each == width // heads and width % heads:
                yield _mistake(trace, stage, width, heads)
                return


def _splits(trace: Trace, stage: Stage) -> list[tuple[int, int]]:
    """Pairs of neighbouring sizes that one of the next stages splits the features of a layer's output into."""
    made = stage.outputs[0].shape
    for step in trace.stages[stage.index + 1 : stage.index + NEXT]:
        if step.operation in RESHAPES and step.inputs and step.outputs and step.inputs[0].shape == made:
            parts = step.outputs[0].shape
            whole = parts[: len(made) - 1] == made[:-1]  # the axes before the features stay
            return [pair for pair in pairwise(parts[len(made) - 1 :]) if pair[0] > 1] if whole else []
    return []


def _mistake(trace: Trace, stage: Stage, width: int, heads: int) -> Mistake:
    each = width // heads
    message = f"{stage.name} makes {heads} heads of {each}: {heads * each} features of {width}"
    note = f"{heads} does not divide {width}: {width} = {heads}·{each} + {width - heads * each}"
    names = [name for name, value in trace.target.hyperparameters.items() if value == heads and "head" in name]
    dividing = [value for value in numbers_near(heads) if width % value == 0]
    remedies = [SettingChange(set_words(name, value), settings={name: value}) for value in dividing for name in names]
    return Mistake(message, stage.source, (note,), tuple(remedies[:2]))
