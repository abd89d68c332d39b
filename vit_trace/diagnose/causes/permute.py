"""Recognises a permute that names an axis twice."""

from __future__ import annotations

from vit_trace.diagnose.cause import Cause, CauseKind, finds
from vit_trace.diagnose.scene import Scene

PERMUTE = CauseKind(
    "permute",
    """
permute names an axis twice, and so leaves one out. It takes every axis once, in the new order.
Example: permute(0, 3, 3, 1) of four axes names 3 twice, and 2 not at all.
""",
)


@finds("permute")
def repeated_axis(scene: Scene) -> Cause | None:
    """`x.permute(0, 3, 3, 1)`."""
    tensor, dims = scene.tensor(0), scene.sizes("dims")
    if tensor is None:
        return None
    ndim = len(tensor.shape)
    places = [axis % ndim for axis in dims if -ndim <= axis < ndim]
    twice = next((axis for axis in places if places.count(axis) > 1), None)
    if twice is None or len(dims) != ndim or len(places) != ndim:
        return None
    left = ", ".join(str(axis) for axis in range(ndim) if axis not in places)
    return Cause(PERMUTE, f"permute({', '.join(map(str, dims))}) names axis {twice} twice, and {left} not at all")
