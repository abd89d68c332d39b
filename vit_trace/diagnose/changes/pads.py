"""Pads other axes, where a pad before the failing step added features, or rows in place of columns. No torch."""

from collections.abc import Iterator, Sequence

from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.changes.records import CallChange, Fix
from vit_trace.diagnose.scene import Shape

REACH = 12
"""Stages before the failing one that are searched for a pad."""


def padded_axes(question: Question) -> Iterator[Fix]:
    """F.pad(x, (0, 0, 0, 1, 0, 1)) for F.pad(x, (0, 1, 0, 1)): pad begins with the last axis."""
    scene = question.scene
    end = scene.failure.stage if scene.failure.stage is not None else len(scene.trace.stages)
    stages = [one for one in scene.trace.stages[max(end - REACH, 0) : end] if one.operation == "pad"]
    for stage in reversed(stages):
        if stage.source is None or not stage.inputs or not stage.outputs or len(stage.inputs[0].shape) != 4:
            continue
        before, after = stage.inputs[0].shape, stage.outputs[0].shape
        added = (*(after[-place] - before[-place] for place in (1, 2, 3)), 0)
        for pairs, why in _others(before, after, added):
            pad = tuple(number for place in pairs for number in (0, added[place]))
            text = f"a pad of {pad} in line {stage.source.line}: {why}"
            yield CallChange(text, "pad", stage.source, pairs=pairs, runs=True)


def _others(before: Shape, after: Shape, added: Sequence[int]) -> Iterator[tuple[tuple[int, ...], str]]:
    """Other orders of the pairs of a pad, which begins with the last axis; pair 3 adds nothing."""
    last, second, third = added[:3]
    if third == 0 and last:
        yield (3, 0, 1), f"pad begins with the last axis, and made {before[-1]} features {after[-1]}"
    if last == 0 and second != third:
        yield (0, 2, 1), "pad begins with the last axis; columns come before rows"
    if third == 0 and last != second:
        yield (1, 0), "pad begins with the columns, rows come next"
