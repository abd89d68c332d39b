"""Recognises queries, keys, values and masks of attention that do not go together."""

from collections.abc import Iterator

from vit_trace.base.trace import Operand
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, Question, finds
from vit_trace.diagnose.causes.broadcast import BROADCAST
from vit_trace.diagnose.causes.matmul import MATMUL
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.changes.calls import turned
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.scene import Scene, called, difference, side


def _heads_and_tokens_exchanged(question: Question) -> Iterator[Fix]:
    """Exchanges heads and tokens in the one of queries, keys and values that differs from the other two."""
    shapes = [operand.shape for operand in question.scene.operands[:3]]
    for place, shape in enumerate(shapes if all(len(one) == 4 for one in shapes) else ()):
        others = {one[:2] for at, one in enumerate(shapes) if at != place}
        if others == {(shape[0], shape[2])}:
            yield from turned(question.scene, place, ("transpose", 1, 2))


def _mask_with_axes(question: Question) -> Iterator[Fix]:
    """Axes of size 1 in the mask: of the heads, for b×n×n; of heads and queries, for b×n."""
    scene, mask = question.scene, question.scene.tensor(3)
    query, key = (operand.shape for operand in scene.operands[:2])
    if mask is None or len(query) != 4 or mask.shape[:1] != query[:1]:
        return
    if mask.shape[1:] == (query[-2], key[-2]):
        yield from turned(scene, 3, ("unsqueeze", 1))
    elif mask.shape[1:] == (key[-2],):
        yield from turned(scene, 3, ("unsqueeze", 1), ("unsqueeze", 1))


@finds("scaled_dot_product_attention", tensors=3, edits=[_heads_and_tokens_exchanged, _mask_with_axes])
def attention_sizes_differ(scene: Scene) -> Cause | None:
    """q and k share a width, k and v a length, all three their leading axes; the mask fits queries × keys."""
    q, k, v = scene.operands[:3]
    if min(len(q.shape), len(k.shape), len(v.shape)) < 2:
        return Cause(WRONG_RANK, f"attention needs 2 axes or more; q is {shape_text(q.shape)}")
    return next(_sizes_that_differ(q, k, v, scene.tensor(3)), None)


def _shapes_note(*tensors: Operand) -> tuple[str, ...]:
    """of q 2×4×9×8, k 2×4×9×8, v 2×9×4×8"""
    names = [called(one) for one in tensors]
    names = names if len(set(names)) == 3 else ["query", "key", "value"]
    return (f"of {', '.join(f'{name} {shape_text(one.shape)}' for name, one in zip(names, tensors, strict=True))}",)


def _sizes_that_differ(q: Operand, k: Operand, v: Operand, mask: Operand | None) -> Iterator[Cause]:
    for first, second, axis, word in ((q, k, -1, "width"), (k, v, -2, "length")):
        one, two = side(first, axis), side(second, axis)
        if one.size != two.size:
            text = f"attention: {one.name} has {word} {one.size}, {two.name} has {two.size}"
            yield Cause(MATMUL, text, _shapes_note(q, k, v), sides=(one, two))
    for first, second in ((q, k), (k, v)):
        for back in range(3, min(len(first.shape), len(second.shape)) + 1):
            one, two = side(first, -back), side(second, -back)
            if one.size != two.size and 1 not in (one.size, two.size):
                yield Cause(BROADCAST, f"attention: {difference(one, two)}", _shapes_note(q, k, v), sides=(one, two))
    for back, operand in ((1, k), (2, q)):
        if mask is not None and len(mask.shape) >= back and mask.shape[-back] not in (1, operand.shape[-2]):
            one, two = side(mask, -back), side(operand, -2)
            yield Cause(BROADCAST, f"attention: {difference(one, two)}", _mask_note(q, k), sides=(one, two))
    for back in range(3, len(q.shape) + 1):
        if mask is not None and len(mask.shape) >= back and mask.shape[-back] not in (1, q.shape[-back]):
            one, two = side(mask, -back), side(q, -back)
            yield Cause(BROADCAST, f"attention: {difference(one, two)}", _mask_note(q, k), sides=(one, two))


def _mask_note(q: Operand, k: Operand) -> tuple[str, ...]:
    """The mask has to broadcast to 2×8×17×17: batch, heads, queries and keys."""
    axes = {4: "batch, heads, queries and keys", 3: "batch, queries and keys"}.get(len(q.shape), "queries and keys")
    return (f"the mask has to broadcast to {shape_text((*q.shape[:-1], k.shape[-2]))}: {axes}",)
