"""ctc_loss takes log-probabilities of time × batch × classes. Most models give the batch first: then it is taken for
the time, and the number of lengths is not that of the sequences.
Example: log-probabilities 2×17×10 of 2 images are read as 2 time steps of 17 sequences; transpose(0, 1) turns them.
"""

from collections.abc import Iterator

from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.changes.calls import turned
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.scene import Scene, with_shape


def _time_in_front(question: Question) -> Iterator[Fix]:
    yield from turned(question.scene, 0, ("transpose", 0, 1))


TIME_FIRST = CauseKind("time-first", __doc__, (_time_in_front,))


@finds("ctc_loss", tensors=2)
def batch_for_time(scene: Scene) -> Cause | None:
    """`F.ctc_loss(log_probs, targets, input_lengths, target_lengths)`: one length for each sequence."""
    given, lengths, listed = scene.operands[0], scene.tensor(2), scene.argument("[2]", "input_lengths")
    count = len(listed) if isinstance(listed, list) else lengths.shape[0] if lengths and lengths.shape else 0
    if len(given.shape) != 3 or given.shape[0] != count or given.shape[1] == count:
        return None
    steps = f"{given.shape[0]} time steps of {given.shape[1]} sequences"
    return Cause(TIME_FIRST, f"ctc_loss reads {with_shape(given)} as {steps}, but is given {count} lengths")
