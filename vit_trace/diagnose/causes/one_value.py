"""BatchNorm in training mode gets one value for each channel, which has no variance: a batch of one image, most often
the last one of an epoch. drop_last=True in the DataLoader leaves that batch out; model.eval() takes running averages.
"""

from collections.abc import Iterator
from math import prod

from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, Turn, finds
from vit_trace.diagnose.changes.inputs import first_input
from vit_trace.diagnose.changes.records import Fix, InputChange
from vit_trace.diagnose.scene import Scene
from vit_trace.diagnose.silent.one_value_per_channel import NORMS


def _two_images(question: Question) -> Iterator[Fix]:
    shape = first_input(question.scene)
    if shape[:1] == (1,):
        yield InputChange.sized((2, *shape[1:]))


ONE_VALUE = CauseKind("batch-of-one", __doc__, (_two_images,), any_batch=False)


@finds(turn=Turn.EARLY)
def no_variance(scene: Scene) -> Cause | None:
    """`nn.BatchNorm1d(8)` of 1×8 in training."""
    stage = scene.stage
    shape = stage.inputs[0].shape if stage is not None and stage.inputs else ()
    if stage is None or stage.operation not in NORMS or scene.raised[0] != "ValueError" or prod(shape) != shape[1]:
        return None
    text = f"{scene.layer} in training gets one value for each of {shape[1]} channels: its input is {shape_text(shape)}"
    return Cause(ONE_VALUE, text, ("drop_last=True in the DataLoader leaves out a last batch of one",))
