"""Finds a batch normalisation that has one value for each channel, so that a training step raises."""

from collections.abc import Iterator
from math import prod

from vit_trace.base.trace import Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake

NORMS = {"BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"}


@silent_mistake("one-value-per-channel")
def one_value_per_channel(trace: Trace, _: MakeCase) -> Iterator[Mistake]:
    """BatchNorm gets one value for each channel: a batch of one image, one position. It runs in eval mode; in training
    torch raises "Expected more than 1 value per channel when training".
    Train with two images or more; drop_last=True in the DataLoader leaves out a last batch of one.
    """
    for stage in trace.stages:
        shape = stage.inputs[0].shape if stage.inputs else ()
        if stage.operation in NORMS and len(shape) > 1 and shape[1] and prod(shape) == shape[1]:
            message = f"{stage.name} gets one value for each of {shape[1]} channels: a training step raises"
            note = f"its input is {shape_text(shape)}; drop_last=True in the DataLoader leaves out a last batch of one"
            yield Mistake(message, stage.source, (note,), severity="note")
            return
