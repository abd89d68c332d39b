"""Pads other axes, where a pad before the failing step added features, or rows in place of columns. No torch."""

from collections.abc import Iterator, Sequence

from vit_trace.base.trace import Stage
from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.changes.records import CallChange, Fix

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
        for pad, why in _others(stage):
            text = f"a pad of {pad} in line {stage.source.line}: {why}"
            yield CallChange(text, "pad", stage.source, {"pad": [*pad]}, runs=True)


def _others(stage: Stage) -> Iterator[tuple[Sequence[int], str]]:
    """Pads of other axes that add as much, at the ends."""
    before, after = stage.inputs[0].shape, stage.outputs[0].shape
    last, second, third = (after[-place] - before[-place] for place in (1, 2, 3))
    if third == 0 and last:
        why = f"pad begins with the last axis, and made {before[-1]} features {after[-1]}"
        yield (0, 0, 0, last, 0, second), why
    if third == 0 and last != second:
        yield (0, second, 0, last), "pad begins with the columns, rows come next"
    elif last == 0 and second != third:
        yield (0, 0, 0, third, 0, second), "pad begins with the last axis; columns come before rows"
