"""Recognises a `raise` or `assert` of the model's own code: its text, and the numbers around it."""

from __future__ import annotations

from vit_trace.diagnose.cause import Cause, CauseKind, Turn, finds
from vit_trace.diagnose.scene import Scene, frame_note

ASSERTION = CauseKind(
    "assertion",
    """
The model's own code refused: an assert or raise of its author. The text is the author's; the notes add the numbers that
the line names, and the changes that were tried show which inputs it takes.
""",
)


@finds("raise", turn=Turn.LATE)
def refused_by_its_author(scene: Scene) -> Cause | None:
    """`assert h == self.image_size`. Late, for some of torch's own layers raise, and there more is known."""
    kind, _, said = scene.failure.exception.partition(": ")
    if kind in ("SystemExit", "KeyboardInterrupt"):
        return None
    return Cause(ASSERTION, " ".join(said.split()) or f"{scene.name} raises {kind}", frame_note(scene))
