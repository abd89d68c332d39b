"""forward raised, and no cause is known that would say more than Python does. The stages up to there, the operands and
the numbers of the frame are shown. If the sizes explain it, please report it: it is a cause worth having.
"""

from vit_trace.diagnose.cause import Cause, CauseKind, Turn, finds
from vit_trace.diagnose.scene import Scene, frame_note, with_shape

UNKNOWN = CauseKind("forward-failed", __doc__)

MOST_OPERANDS = 4
"""Operands whose shapes are named; the rest is left out."""

LONGEST_HEADLINE = 60
"""Characters of Python's message in the headline; a longer one is left to a note."""


@finds(turn=Turn.LAST)
def unrecognised(scene: Scene) -> Cause:
    """Any failure."""
    kind, said = scene.raised
    if kind == "RecursionError":
        return Cause(UNKNOWN, f"{scene.name} calls itself without end", frame_note(scene))
    if scene.call not in ("", "?", "raise", "subscript"):
        shapes = ", ".join(with_shape(operand) for operand in scene.operands[:MOST_OPERANDS])
        return Cause(UNKNOWN, f"{scene.call} raised {kind}{' on ' + shapes if shapes else ''}")
    quote = " ".join(said.split())
    text = f"{scene.name} raised {kind}{f': {quote}' if 0 < len(quote) <= LONGEST_HEADLINE else ''}"
    return Cause(UNKNOWN, text, frame_note(scene))
