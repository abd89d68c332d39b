"""Recognises an expand of an axis that is not of size 1, and expand or repeat with too few axes."""

from __future__ import annotations

from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, finds
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.scene import Scene, Side, axes_text, called, side, sizes_text

EXPAND = CauseKind(
    "expand",
    """
expand and broadcast_to can only make axes of size 1 larger.
Example: tokens has 2 on axis 0 and cannot be expanded to 4: made for one batch size, used with another.
""",
    usual(),
)


@finds("expand", "expand_as", "broadcast_to", "repeat", "tile")
def cannot_grow(scene: Scene) -> Cause | None:
    """`tokens.expand(4, -1, -1)` of a batch of 2."""
    tensor = scene.tensor(0)
    if tensor is None:
        return None
    wanted = scene.operands[1].shape if scene.call == "expand_as" and len(scene.operands) > 1 else ()
    wanted = wanted or scene.sizes("size", "sizes", "repeats")
    if wanted and min(wanted) < -1:
        text = f"{scene.call} of {called(tensor)} {shape_text(tensor.shape)} to {sizes_text(wanted)}: "
        return Cause(EXPAND, f"{text}{min(wanted)} is not a valid size")
    if len(wanted) < len(tensor.shape):
        text = f"{scene.call} to {axes_text(len(wanted))}, but {called(tensor)} {shape_text(tensor.shape)} has "
        return Cause(WRONG_RANK, text + str(len(tensor.shape)), rank=len(wanted))
    if scene.call in ("repeat", "tile"):
        return None
    for back in range(1, len(tensor.shape) + 1):
        if tensor.shape[-back] not in (1, wanted[-back]) and wanted[-back] != -1:
            one = side(tensor, -back)
            text = f"{one.name} has {one.size} on axis {one.axis} and cannot be expanded to {wanted[-back]}"
            return Cause(EXPAND, text, sides=(one, Side(None, None, wanted[-back], "the wanted size")))
    return None
