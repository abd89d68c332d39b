"""Names a wrong layout of the input as the cause, if moving or adding an axis of it made the forward run."""

import dataclasses
from collections.abc import Sequence

from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind
from vit_trace.diagnose.causes.assertion import ASSERTION
from vit_trace.diagnose.causes.dtype import DTYPE
from vit_trace.diagnose.changes.inputs import first_input, unbatched
from vit_trace.diagnose.changes.records import InputChange, Tried
from vit_trace.diagnose.scene import Scene, axes_text
from vit_trace.diagnose.trials import Case

MISSING_BATCH_AXIS = CauseKind(
    "missing-batch-axis",
    """The input has one axis less than the model takes: one image without the batch axis in front.
    Example: 3×224×224 for a model that takes b×3×224×224. x.unsqueeze(0) makes a batch of one.
    """,
)

EXTRA_BATCH_AXIS = CauseKind(
    "extra-batch-axis",
    "The input has one axis more than the model takes: a batch of batches, often from a data loader that adds its own.",
)

CHANNELS_LAST = CauseKind(
    "channels-last",
    """The image's channels are its last axis (batch, height, width, channels), as most image libraries keep them;
    torch's models take them after the batch axis. x.permute(0, 3, 1, 2) moves them.
    """,
)

MIXED_AXES = CauseKind(
    "mixed-axes",
    """The input's axes are in another order than the model takes them: two of their sizes are those that a layer and
    its input disagree about, and with these axes exchanged it runs.
    """,
)


def layout_cause(scene: Scene, cause: Cause, tried: Sequence[Tried], case: Case) -> Cause:
    """The layout of the input as the cause, where the first remedy changes it; else the cause that was found."""
    change = tried[0].change if tried else None
    if not isinstance(change, InputChange) or not change.steps or cause.kind is DTYPE:
        return cause
    shape, expected = first_input(scene), case.expected
    name, count = f"{scene.inputs[0].name} {shape_text(shape)}", axes_text(len(shape))
    match [step for step, *_ in change.steps]:
        case ["unsqueeze"]:
            longer = expected is not None and len(expected) > len(shape)
            if not longer and not (len(shape) == 3 and unbatched(shape)):
                return cause
            kind, text = MISSING_BATCH_AXIS, f"{name} has {count}, the model takes {len(shape) + 1}: no batch axis"
        case ["squeeze" | "flatten", *_]:
            kind, text = EXTRA_BATCH_AXIS, f"{name} has {count}, the model takes {len(shape) - 1}"
        case ["permute", *_]:
            kind, text = CHANNELS_LAST, f"{name} has its channels last, the model takes them first"
        case ["transpose", *_] if not any(side.operand and side.operand.parameter for side in cause.sides):
            return cause
        case _:
            kind, text = MIXED_AXES, f"{name} has its axes in another order than the model takes them"
    led_to = () if cause.kind is ASSERTION else (f"so {cause.message}",)  # the author's message is quoted anyway
    return dataclasses.replace(cause, kind=kind, message=text, notes=(*led_to, *cause.notes), sides=())
