"""A tensor has a different number of axes than the code expects: b, c, h, w = x.shape of a tensor with three axes, an
axis that does not exist, a layer that gets a tensor without the batch axis or with one axis too many.
"""

from collections.abc import Iterator

from vit_trace.diagnose.cause import Cause, CauseKind, Question, Turn, finds
from vit_trace.diagnose.changes.calls import output_turned, turned
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.scene import Scene, axes_text, with_shape

WRONG_RANK = CauseKind("wrong-rank", __doc__)

ONE_AXIS = {
    *("softmax", "log_softmax", "mean", "sum", "amax", "amin", "argmax", "cumsum", "std", "var", "max", "min", "prod"),
    *("all", "any", "norm", "normalize", "flatten", "unflatten", "squeeze", "unsqueeze", "unbind", "chunk", "split"),
    *("tensor_split", "select", "narrow", "gather", "size", "roll", "flip", "sort"),
}
"""Functions that name an axis, as `dim` or in second place."""

NAMES = ("dim", "axis", "dims", "start_dim", "end_dim")
REORDERS = ("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis")


def map_as_tokens(question: Question) -> Iterator[Fix]:
    """`.flatten(2).transpose(1, 2)` on what first made a map, where tokens are wanted; `.flatten(2)` if turned next."""
    scene, first = question.scene, question.scene.tensor(0)
    if question.cause.rank != 3 or first is None or len(first.shape) != 4:
        return
    if scene.call == "permute":
        yield from turned(scene, 0, ("flatten", 2))
    layers = (one for one in scene.trace.stages if one.kind == "module" and one.module and one.outputs)
    made = next((one for one in layers if one.outputs[0].shape == first.shape), None)
    if made is not None:
        yield output_turned(made, ("flatten", 2), ("transpose", 1, 2))


@finds("permute", tensors=1, edits=[map_as_tokens])
def other_number_of_axes(scene: Scene) -> Cause | None:
    """`x.permute(0, 2, 1)` of a tensor with four axes."""
    tensor, dims = scene.operands[0], scene.sizes("dims")
    if not dims or len(dims) == len(tensor.shape):
        return None
    text = f"permute names {axes_text(len(dims))}, but {with_shape(tensor)} has "
    return Cause(WRONG_RANK, f"{text}{axes_text(len(tensor.shape))}", rank=len(dims))


@finds(*REORDERS, *ONE_AXIS, tensors=1, turn=Turn.LATE)
def missing_axis(scene: Scene) -> Cause | None:
    """`x.softmax(3)`, `x.transpose(1, 4)`. Late, for a wrong index of `gather` says more than its axis."""
    tensor = scene.operands[0]
    limit = max(len(tensor.shape) + (scene.call == "unsqueeze"), 1)
    axis = next((axis for axis in _named_axes(scene) if not -limit <= axis < limit), None)
    if axis is None:
        return None
    text = f"{scene.call} over axis {axis}, but {with_shape(tensor)} has "
    return Cause(WRONG_RANK, text + axes_text(len(tensor.shape)), rank=axis + 1 if axis >= 0 else -axis)


def _named_axes(scene: Scene) -> list[int]:
    """The axes that the call names."""
    if scene.call in REORDERS:
        return [*scene.sizes("dims"), *(scene.integer(f"dim{place}", default=0) for place in (0, 1))]
    place = "[2]" if scene.call in ("chunk", "split") else "[1]"
    values = [scene.argument(name) for name in (*NAMES, place)]
    items = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [item for item in items if type(item) is int]
