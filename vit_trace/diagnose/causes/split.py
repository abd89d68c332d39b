"""Recognises a split into parts that do not add up to the axis."""

from __future__ import annotations

from vit_trace.diagnose.cause import Cause, CauseKind, finds
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.scene import Scene, Side, side

SPLIT = CauseKind(
    "split",
    """
split into parts whose sum is not the size of the axis.
""",
    usual(),
)


@finds("split", "split_with_sizes", "tensor_split")
def parts_do_not_add_up(scene: Scene) -> Cause | None:
    """`x.split([4, 4], dim=1)` of 9."""
    tensor = scene.tensor(0)
    sizes = scene.argument("[1]", "split_size_or_sections", "split_size", "split_sizes")
    axis = scene.integer("[2]", "dim", default=0)
    if tensor is None or not isinstance(sizes, list) or not -len(tensor.shape) <= axis < len(tensor.shape):
        return None
    parts = [size for size in sizes if type(size) is int]
    there = side(tensor, axis)
    if sum(parts) == there.size:
        return None
    text = f"split into {' + '.join(map(str, parts))} = {sum(parts)}, but axis {there.axis} of {there.name} is "
    return Cause(SPLIT, f"{text}{there.size}", sides=(there, Side(None, None, sum(parts), "the parts")))
