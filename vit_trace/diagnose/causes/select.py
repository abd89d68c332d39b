"""Recognises select and narrow of indices out of range, and topk of more values than there are."""

from __future__ import annotations

from vit_trace.diagnose.cause import Cause, finds
from vit_trace.diagnose.causes.index import INDEX, valid_indices
from vit_trace.diagnose.scene import Scene, side, with_shape


@finds("select", "narrow")
def taken_out_of_range(scene: Scene) -> Cause | None:
    """`x.narrow(1, 3, 11)` of an axis of 9."""
    tensor = scene.tensor(0)
    axis = scene.integer("[1]", "dim", default=0)
    first = scene.integer("[2]", "index" if scene.call == "select" else "start", default=0)
    length = scene.integer("[3]", "length", default=1) if scene.call == "narrow" else 1
    if tensor is None or not -len(tensor.shape) <= axis < len(tensor.shape):
        return None
    there = side(tensor, axis)
    last = first + length - 1
    if -there.size <= first and last < there.size:
        return None
    what = f"index {first} is" if length == 1 else f"indices {first} to {last} are"
    return Cause(
        INDEX, f"{what} out of range on axis {there.axis} of {with_shape(tensor)}, {valid_indices(there.size)}"
    )


@finds("topk")
def more_than_there_are(scene: Scene) -> Cause | None:
    """`scores.topk(12)` of 9."""
    tensor = scene.tensor(0)
    count, axis = scene.integer("[1]", "k", default=0), scene.integer("[2]", "dim", default=-1)
    if tensor is None or not -len(tensor.shape) <= axis < len(tensor.shape) or count <= tensor.shape[axis]:
        return None
    there = side(tensor, axis)
    text = f"topk asks for {count} of the {there.size} that {with_shape(tensor)} has on axis {there.axis}"
    return Cause(INDEX, text, sides=(there,))
