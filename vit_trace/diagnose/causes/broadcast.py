"""Two tensors meet in one operation (x + pos_embedding) and on some axis have different sizes, neither of them 1.
Example: x is 2×82×1024, pos_embedding is 1×65×1024: 82 tokens against 65 positions.
The notes say what each size is made of and who made it. Most often a position embedding was made for another image
size: build the model for the size of the input, feed it the size it was built for, or interpolate the embedding.
"""

import re
from collections.abc import Iterator

from vit_trace.base.trace import Operand
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.changes.calls import as_large_as_the_other, turned
from vit_trace.diagnose.changes.records import CallChange, Fix, Method
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.producers import makers_of
from vit_trace.diagnose.scene import Scene, Shape, called, clash, difference, side, with_shape

BROADCAST = CauseKind("broadcast", __doc__, usual(), edits_suffice=True)

ELEMENTWISE = {
    *("add", "sub", "subtract", "mul", "multiply", "div", "divide", "truediv", "true_divide", "floordiv", "fmod"),
    *("floor_divide", "pow", "mod", "remainder", "rsub", "lerp", "addcmul", "addcdiv", "atan2", "hypot", "xlogy"),
    *("eq", "ne", "lt", "le", "gt", "ge", "isclose", "where", "masked_fill", "clamp", "clip", "max", "min"),
    *("maximum", "minimum", "and", "or", "xor", "logical_and", "logical_or", "logical_xor", "bitwise_and"),
    *("bitwise_or", "bitwise_xor", "heaviside", "copy", "triplet_margin_loss"),
}
"""Functions that broadcast their tensors to one another."""

PAIRS = {
    "cosine_embedding_loss",
    "cosine_similarity",
    "pairwise_distance",
    "margin_ranking_loss",
}
"""Functions that do so with their first two tensors alone."""

MAPS = ((0, 3, 1, 2), (0, 2, 3, 1))
"""Orders of the axes that bring the channels of maps to the front, or to the end."""


def _made_broadcastable(question: Question) -> Iterator[Fix]:
    """Transposes one of two tensors or gives it an axis, so that it broadcasts to the other."""
    scene = question.scene
    if any(_sides_exchanged(question)):
        return  # a transpose of a map that was put together in the wrong order does not put it right
    for place, other in ((1, 0), (0, 1)) if len(scene.operands) > 1 else ():
        for steps in _ways_to_broadcast(scene.operands[place].shape, scene.operands[other].shape):
            yield from turned(scene, place, *steps)


def _sides_exchanged(question: Question) -> Iterator[Fix]:
    """The sides of a map in the other order, where a reshape of tokens made it of another map's columns and rows."""
    scene = question.scene
    pair = [one for one in scene.operands[:2] if len(one.shape) == 4]
    for operand, other in (pair, pair[::-1]) if len(pair) == 2 else ():
        down, across = operand.shape[2:]
        if down == across or other.shape != (*operand.shape[:2], across, down):
            continue
        made = next((one for one in makers_of(scene, operand) if one.operation in ("reshape", "view")), None)
        if made is not None and made.source is not None and len(made.inputs[0].shape) == 3:
            text = f"{made.operation} to {shape_text(other.shape)} in line {made.source.line}: rows come before columns"
            yield CallChange(text, made.operation, made.source, sizes={2: across, 3: down}, runs=True)


def _ways_to_broadcast(shape: Shape, whole: Shape) -> Iterator[tuple[Method, ...]]:
    """Methods after which a shape broadcasts to another."""
    if len(shape) >= 2 and _broadcasts_to((*shape[:-2], shape[-1], shape[-2]), whole):
        yield (("transpose", -2, -1),)
    if len(shape) == 1 and len(whole) > 2 and shape[0] == whole[1]:  # one number for each channel
        column = (-1, *[1] * (len(whole) - 2))
        yield (("view", *column),)
    for axis in range(len(shape), 0, -1) if len(shape) == len(whole) - 1 else ():
        if _broadcasts_to((*shape[:axis], 1, *shape[axis:]), whole):
            yield (("unsqueeze", axis if axis < len(shape) else -1),)
    if len(shape) == 2 and len(whole) == 4 and _broadcasts_to((shape[0], 1, 1, shape[1]), whole):
        yield ("unsqueeze", 1), ("unsqueeze", 1)  # a mask of keys, for all heads and queries
    for order in MAPS if len(shape) == len(whole) == 4 else ():
        if tuple(shape[axis] for axis in order) == whole:
            yield (("permute", *order),)


def _broadcasts_to(shape: Shape, whole: Shape) -> bool:
    """Whether one shape broadcasts to another without making that larger."""
    grows = any(size == 1 != length for size, length in zip(reversed(whole), reversed(shape), strict=False))
    return len(shape) <= len(whole) and clash(shape, whole) is None and not grows


@finds(*ELEMENTWISE, *PAIRS, edits=[_sides_exchanged, _made_broadcastable, as_large_as_the_other])
def cannot_be_broadcast(scene: Scene) -> Cause | None:
    """`x + pos_embedding`: the first axis from the right on which two operands differ."""
    shaped = [one for one in scene.operands[: 2 if scene.call in PAIRS else None] if one.shape]
    if scene.stage is None or (scene.stage.kind != "function" and not scene.stage.outputs):  # after it, in a hook
        return None
    for place, second in enumerate(shaped):
        for first in shaped[:place]:
            back = clash(first.shape, second.shape)
            if back is not None:
                one, two = (side(operand, -back, _name_in_sum(scene, operand)) for operand in (first, second))
                return Cause(BROADCAST, difference(one, two), sides=(one, two))
    return _cannot_grow_in_place(scene)


def _name_in_sum(scene: Scene, operand: Operand) -> str:
    """What an operand is called, or on which side of a + it stands where its expression is too long to repeat."""
    name = called(operand)
    if name != "the tensor" or len(scene.operands) != 2:
        return name
    return "the left side" if operand is scene.operands[0] else "the right side"


def _cannot_grow_in_place(scene: Scene) -> Cause | None:
    """`x += y` where y has more axes, or larger ones: x cannot grow."""
    first, second = scene.tensor(0), scene.tensor(1)
    works_in_place = scene.failure.call.startswith("__i") or re.search(r"[^_]_$", scene.failure.call)
    if first is None or second is None or not works_in_place:
        return None
    extra = len(second.shape) - len(first.shape)
    pairs = [(axis, axis + extra) for axis in range(max(-extra, 0), len(first.shape))]
    wider = [(one, two) for one, two in pairs if first.shape[one] == 1 != second.shape[two]]
    if extra <= 0 and not wider:
        return None
    text = f"{with_shape(first)} cannot grow in place to take {called(second)} "
    sides = (side(first, wider[0][0]), side(second, wider[0][1])) if wider else ()
    return Cause(BROADCAST, text + shape_text(second.shape), sides=sides)
