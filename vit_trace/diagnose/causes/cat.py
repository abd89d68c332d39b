"""Recognises tensors that cannot be joined by cat or stack: another size, or another number of axes."""

from __future__ import annotations

from collections import Counter

from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, finds
from vit_trace.diagnose.scene import Scene, axes_text, called, difference, side

CAT = CauseKind(
    "cat",
    """
cat joins tensors with the same number of axes, and the same size on every axis but the joined one.
Example: cls_token 2×1×10 and x 2×5×8 along axis 1: 10 is not 8.
""",
)

STACK = CauseKind(
    "stack",
    """
stack joins tensors of one shape.
""",
)

JOINS = {"cat", "concat", "concatenate", "hstack", "vstack", "stack", "dstack", "column_stack"}


@finds(*JOINS)
def cannot_be_joined(scene: Scene) -> Cause | None:
    """`torch.cat([cls_token, x], dim=1)`."""
    shapes = [operand.shape for operand in scene.operands if operand.shape != (0,)]  # cat takes an empty one anywhere
    if len(scene.operands) < 2 or not shapes:
        return None
    kind = STACK if scene.call == "stack" else CAT
    common = Counter(map(len, shapes)).most_common(1)[0][0]
    odd = next((operand for operand in scene.operands if len(operand.shape) != common), None)
    if odd is not None:
        other = next(operand for operand in scene.operands if len(operand.shape) == common)
        text = f"{scene.call}: {called(odd)} {shape_text(odd.shape)} has {axes_text(len(odd.shape))}, "
        return Cause(kind, f"{text}{called(other)} {shape_text(other.shape)} has {common}", rank=common)
    joined = joined_axis(scene, common)
    first = scene.operands[0]
    for second in scene.operands[1:]:
        for axis in range(common):
            if axis != joined and first.shape[axis] != second.shape[axis]:
                one, two = side(first, axis), side(second, axis)
                text = f"{scene.call} along axis {joined}: " if joined is not None else f"{scene.call}: "
                return Cause(kind, text + difference(one, two), sides=(one, two))
    return None


def joined_axis(scene: Scene, ndim: int) -> int | None:
    """The axis along which tensors are joined; None for stack, which makes a new one."""
    axis = scene.integer("[1]", "dim", default=1 if scene.call == "hstack" else 0)
    return axis % ndim if scene.call != "stack" and -ndim <= axis < ndim else None
