"""Recognises tensors that cannot be joined by cat or stack: another size, or another number of axes."""

from collections import Counter
from collections.abc import Iterator

from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.changes.calls import as_large_as_the_other, call_changed, turned
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.changes.solved import multiples
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.scene import Scene, axes_text, difference, side, with_shape

CAT = CauseKind(
    "cat",
    """cat joins tensors with the same number of axes, and the same size on every axis but the joined one.
    Example: cls_token 2×1×10 and x 2×5×8 along axis 1: 10 is not 8.
    """,
    usual(sizes=(multiples,)),
    edits_suffice=True,
)

STACK = CauseKind("stack", "stack joins tensors of one shape.")

CATS = {"cat", "concat", "concatenate"}
JOINS = CATS | {"hstack", "vstack", "stack", "dstack", "column_stack"}


def _made_to_fit(question: Question) -> Iterator[Fix]:
    """Joins along the one axis that differs, expands a tensor of size 1, or adds an axis that is missing."""
    scene = question.scene
    shapes = [operand.shape for operand in scene.operands]
    ndim = max(map(len, shapes))
    if not ndim:
        return
    joined = scene.integer("[1]", "dim", default=0) % ndim
    if len({len(shape) for shape in shapes}) > 1:
        short = [place for place, shape in enumerate(shapes) if len(shape) == ndim - 1]
        if len(short) == 1 and scene.call in CATS:
            yield from turned(scene, short[0], ("unsqueeze", joined))
        return
    odd = [axis for axis in range(ndim) if len({shape[axis] for shape in shapes}) > 1]
    if len(odd) == 1 and odd[0] != joined and scene.call in CATS:
        yield from call_changed(scene, f"{scene.call} with dim={odd[0]}", {"dim": odd[0]})
        return
    for place, shape in enumerate(shapes if ndim == 3 else ()):
        exchanged = [*shapes[:place], (shape[0], shape[2], shape[1]), *shapes[place + 1 :]]
        if len({(*one[:joined], *one[joined + 1 :]) for one in exchanged}) == 1:
            yield from turned(scene, place, ("transpose", 1, 2))
    for axis in odd:
        full = max(shape[axis] for shape in shapes)
        ones = [place for place, shape in enumerate(shapes) if shape[axis] == 1]
        if axis != joined and len(ones) == 1 and full > 1:
            yield from turned(scene, ones[0], ("expand", *(full if at == axis else -1 for at in range(ndim))))


@finds(*JOINS, tensors=2, edits=[_made_to_fit, as_large_as_the_other])
def cannot_be_joined(scene: Scene) -> Cause | None:
    """`torch.cat([cls_token, x], dim=1)`."""
    shapes = [operand.shape for operand in scene.operands if operand.shape != (0,)]  # cat takes an empty one anywhere
    if not shapes:
        return None
    kind = STACK if scene.call == "stack" else CAT
    common = Counter(map(len, shapes)).most_common(1)[0][0]
    odd = next((operand for operand in scene.operands if len(operand.shape) != common), None)
    if odd is not None:
        other = next(operand for operand in scene.operands if len(operand.shape) == common)
        text = f"{scene.call}: {with_shape(odd)} has {axes_text(len(odd.shape))}, "
        return Cause(kind, f"{text}{with_shape(other)} has {common}", rank=common)
    axis = scene.integer("[1]", "dim", default=1 if scene.call == "hstack" else 0)
    joined = axis % common if kind is CAT and -common <= axis < common else None
    first = scene.operands[0]
    for second in scene.operands[1:]:
        for axis in range(common):
            if axis != joined and first.shape[axis] != second.shape[axis]:
                one, two = side(first, axis), side(second, axis)
                text = f"{scene.call} along axis {joined}: " if joined is not None else f"{scene.call}: "
                return Cause(kind, text + difference(one, two), sides=(one, two))
    return None
