"""Recognises a view of a tensor whose axes were exchanged, which only reshape can give that shape."""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.causes.reshape import holds_as_many, wanted_sizes
from vit_trace.diagnose.changes.calls import with_tensor
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.changes.steps import method
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.scene import Scene, called, sizes_text

VIEW = CauseKind(
    "view",
    """
view only gives a new shape to values that are contiguous in memory. After a transpose or permute they are not, though
the sizes would do: x.transpose(1, 2).view(2, -1). reshape copies where it has to; x.contiguous().view(…) does the same.
""",
    usual(),
)


def reshaped_instead(question: Question) -> Iterator[Fix]:
    """reshape, which copies where it has to."""
    yield from with_tensor(question.scene, "reshape instead of view", 0, [method("contiguous")])


@finds("view", "view_as", "unsafe_view", edits=[reshaped_instead])
def not_contiguous(scene: Scene) -> Cause | None:
    """`x.transpose(1, 2).view(2, -1)`."""
    tensor, wanted = scene.tensor(0), wanted_sizes(scene)
    if tensor is None or not wanted or min(wanted) < -1 or not holds_as_many(tensor.shape, wanted):
        return None
    text = f"view of {called(tensor)} {shape_text(tensor.shape)} to {sizes_text(wanted)}: the sizes would do, but "
    return Cause(VIEW, f"{text}after a transpose or permute the values are not contiguous, as view needs them")
