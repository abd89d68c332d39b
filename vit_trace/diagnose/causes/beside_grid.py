"""Tokens were reshaped to a map of their grid with those that are beside it, such as the class token.
x.reshape(b, h, w, -1) ran, and made more features than there are. Leave these tokens out first: x[:, 1:].
"""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.diagnose.cause import Cause, CauseKind, Question, Turn, finds
from vit_trace.diagnose.changes.records import CallChange
from vit_trace.diagnose.grids import swallowed
from vit_trace.diagnose.scene import Scene


def grid_alone(trace: Trace) -> Iterator[CallChange]:
    """Leaves the tokens beside the grid out of each such reshape."""
    for one in swallowed(trace):
        span, size = one.stage.source, one.stage.inputs[0].shape[one.axis]
        if span is not None:
            left_out = f"[{':, ' * one.axis}{one.more}:]"
            text = f"{left_out} of the {size} tokens before {one.stage.operation} in line {span.line}"
            steps = (("narrow", one.axis, one.more, size - one.more),)
            yield CallChange(text, one.stage.operation, span, steps=steps, runs=True)


def _grid_alone(question: Question) -> Iterator[CallChange]:
    yield from grid_alone(question.scene.trace)


BESIDE_GRID = CauseKind("beside-grid", __doc__, (_grid_alone,))


@finds(turn=Turn.EARLY)
def tokens_in_features(scene: Scene) -> Cause | None:
    """`conv(x.reshape(b, -1, h, w))` of 14·14 + 1 tokens: the features have a part of the class token."""
    sizes = {size for operand in scene.operands for size in operand.shape}
    for one in swallowed(scene.trace):
        if any(size % one.made == 0 for size in sizes):
            return Cause(BESIDE_GRID, one.said, (f"so {scene.layer} gets sizes that it was not made for",))
    return None
