"""Recognises interpolation over more axes than a tensor has: tokens that are not a grid yet."""

from collections.abc import Iterator
from math import isqrt

from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.changes.calls import turned
from vit_trace.diagnose.changes.records import Fix, Method
from vit_trace.diagnose.grids import MOST_BESIDE
from vit_trace.diagnose.scene import Scene, axes_text, with_shape

MODES = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}
"""The number of axes that a mode takes."""


def _made_a_grid(question: Question) -> Iterator[Fix]:
    """Tokens as a square grid, behind those beside it: pos[:, :, 1:].reshape(-1, 48, 4, 4)."""
    scene, shape = question.scene, question.scene.operands[0].shape
    if len(shape) != 3 or question.cause.rank != 4:
        return
    grids = [
        (beside, axis, side)
        for axis in (2, 1)
        for beside in range(min(MOST_BESIDE, shape[axis]))
        if (side := isqrt(shape[axis] - beside)) > 1 and side * side == shape[axis] - beside
    ]
    for beside, axis, side in sorted(grids)[:1]:
        cut: list[Method] = [("narrow", axis, beside, side * side)] if beside else []
        moved: list[Method] = [("transpose", 1, 2)] if axis == 1 else []
        yield from turned(scene, 0, *cut, *moved, ("reshape", -1, shape[3 - axis], side, side))


NO_GRID = CauseKind("wrong-rank", WRONG_RANK.meaning, (_made_a_grid,))


@finds("interpolate", tensors=1)
def too_few_axes(scene: Scene) -> Cause | None:
    """`F.interpolate(pos.transpose(1, 2), size=(6, 6), mode="bicubic")` of b×c×n."""
    tensor, sizes = scene.operands[0], scene.argument("size", "[1]", "scale_factor", "[2]")
    mode = str(scene.argument("mode", "[3]") or "nearest")
    wanted = MODES.get(mode) or (len(sizes) + 2 if isinstance(sizes, list) else None)
    if wanted is None or wanted == len(tensor.shape):
        return None
    space = " and ".join(("depth", "height", "width")[5 - wanted :])
    text = f"interpolate over {space} takes {axes_text(wanted)}, {with_shape(tensor)} has {len(tensor.shape)}"
    space_axes = len(tensor.shape) - 2
    note = f"it reads {shape_text(tensor.shape)} as batch, channels and {space_axes} of space"
    return Cause(NO_GRID, text, (note,) if space_axes > 0 else (), rank=wanted)
