"""Recognises indices of lookups that are too long, out of range or not integers: gather, scatter, embedding, topk."""

from collections.abc import Iterator

from vit_trace.base.trace import Operand
from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.causes.dtype import DTYPE
from vit_trace.diagnose.causes.index import INDEX, extent_note, out_of_range, valid_indices, value_out_of_range
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.changes.calls import turned
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.scene import Scene, Side, axes_text, called, name_in_layer, side, with_shape

GATHER = CauseKind(
    "gather",
    """gather and scatter take an index that is no longer than the tensor on any axis but the one they work along; for
    scatter the index is also no longer than the source.
    Example: the index 2×4×17 is longer than x 2×9×16 on axis 2.
    """,
)

GATHERS = {"gather", "take_along_dim"}
SCATTERS = {"scatter", "scatter_add", "scatter_reduce"}
SELECTS = {"index_select", "index_add", "index_fill", "index_copy"}


def _index_expanded(question: Question) -> Iterator[Fix]:
    """Expands an index with one axis less over the last axis of the tensor that it indexes."""
    tensor, index = (operand.shape for operand in question.scene.operands[:2])
    if len(index) == len(tensor) - 1:
        sizes = (*(-1 for _ in index), tensor[-1])
        yield from turned(question.scene, 1, ("unsqueeze", -1), ("expand", *sizes))


@finds(*GATHERS, *SCATTERS, tensors=2, edits=[_index_expanded])
def index_of_gather(scene: Scene) -> Cause | None:
    """`x.gather(1, index)`: an index with as many axes, no longer than the tensor except on the axis it runs along."""
    tensor, index = scene.operands[:2]
    if index.dtype != "int64":
        return Cause(DTYPE, f"{scene.call} takes an index of int64, {with_shape(index)} is {index.dtype}")
    if len(index.shape) != len(tensor.shape):
        text = f"{scene.call} takes an index with the {axes_text(len(tensor.shape))} of {with_shape(tensor)}, "
        return Cause(WRONG_RANK, f"{text}{with_shape(index)} has {len(index.shape)}")
    axis = scene.integer("[1]", "dim", default=0)
    if not -len(tensor.shape) <= axis < len(tensor.shape):
        return None
    axis %= len(tensor.shape)
    return next(_index_too_long(scene, tensor, index, axis), None) or out_of_range(tensor, axis, index, negative=False)


def _index_too_long(scene: Scene, tensor: Operand, index: Operand, along: int) -> Iterator[Cause]:
    source = scene.tensor(2) if scene.call in SCATTERS else None
    for other, free in ((tensor, along), (source, None)):
        if other is None or len(other.shape) != len(index.shape):
            continue
        for axis in range(len(index.shape)):
            if axis != free and index.shape[axis] > other.shape[axis]:
                text = f"{scene.call} along axis {along}: the index {with_shape(index)} is longer than "
                text += f"{with_shape(other)} on axis {axis}"
                yield Cause(GATHER, text, sides=(side(other, axis), side(index, axis)))


@finds(*SELECTS, tensors=2)
def index_of_select(scene: Scene) -> Cause | None:
    """`x.index_select(1, index)`: one axis of whole numbers in range."""
    tensor, index = scene.operands[:2]
    axis = scene.integer("[1]", "dim", default=0)
    if index.dtype not in ("int64", "int32"):
        return Cause(DTYPE, f"{scene.call} takes an index of int64 or int32, {called(index)} is {index.dtype}")
    if len(index.shape) > 1:
        return Cause(WRONG_RANK, f"{scene.call} takes an index with 1 axis, {with_shape(index)} has {len(index.shape)}")
    if not -len(tensor.shape) <= axis < len(tensor.shape):
        return None
    return out_of_range(tensor, axis % len(tensor.shape), index, negative=False)


@finds("one_hot", tensors=1)
def class_out_of_range(scene: Scene) -> Cause | None:
    """`F.one_hot(labels, 4)`: classes from 0 to num_classes - 1."""
    index, count = scene.operands[0], scene.integer("[1]", "num_classes", default=-1)
    if index.dtype != "int64":
        return Cause(DTYPE, f"one_hot takes int64, {called(index)} is {index.dtype}")
    value = value_out_of_range(index, count if count >= 0 else 1 << 62, negative=False)
    if value is None:
        return None
    valid = f", {valid_indices(count)}" if count >= 0 else ""
    return Cause(INDEX, f"{with_shape(index)} holds the class {value}{valid}")


@finds("embedding", tensors=2)
def missing_row(scene: Scene) -> Cause | None:
    """`self.pos(ids)`: ids are whole numbers, and rows of the table."""
    weight = next((operand for operand in scene.operands if len(operand.shape) == 2 and operand.parameter), None)
    index = next((operand for operand in scene.operands if operand is not weight), scene.operands[0])
    name, layer = name_in_layer(index), scene.layer
    if index.dtype not in ("int64", "int32"):
        return Cause(DTYPE, f"{layer} looks up int64 or int32, {name} is {index.dtype}")
    weight = weight or scene.operands[1]
    if len(weight.shape) != 2:
        return Cause(WRONG_RANK, f"embedding takes a table with 2 axes, {called(weight)} has {len(weight.shape)}")
    rows = weight.shape[0]
    row = value_out_of_range(index, rows, negative=False)
    if row is None:
        return None
    text = f"{layer} has {rows} rows and is asked for row {row}, {valid_indices(rows)}"
    sides = (side(weight, 0, layer), Side(None, None, row + 1, name)) if row >= rows else ()
    return Cause(INDEX, text, (extent_note(index, name),), sides)


@finds("select", "narrow", tensors=1)
def taken_out_of_range(scene: Scene) -> Cause | None:
    """`x.narrow(1, 3, 11)` of an axis of 9."""
    tensor, axis = scene.operands[0], scene.integer("[1]", "dim", default=0)
    first = scene.integer("[2]", "index" if scene.call == "select" else "start", default=0)
    length = scene.integer("[3]", "length", default=1) if scene.call == "narrow" else 1
    if not -len(tensor.shape) <= axis < len(tensor.shape):
        return None
    there, last = side(tensor, axis), first + length - 1
    if -there.size <= first and last < there.size:
        return None
    what = f"index {first} is" if length == 1 else f"indices {first} to {last} are"
    text = f"{what} out of range on axis {there.axis} of {with_shape(tensor)}, "
    return Cause(INDEX, text + valid_indices(there.size))


@finds("topk", tensors=1)
def more_than_there_are(scene: Scene) -> Cause | None:
    """`scores.topk(12)` of 9."""
    tensor = scene.operands[0]
    count, axis = scene.integer("[1]", "k", default=0), scene.integer("[2]", "dim", default=-1)
    if not -len(tensor.shape) <= axis < len(tensor.shape) or count <= tensor.shape[axis]:
        return None
    there = side(tensor, axis)
    text = f"topk asks for {count} of the {there.size} that {with_shape(tensor)} has on axis {there.axis}"
    return Cause(INDEX, text, sides=(there,))
