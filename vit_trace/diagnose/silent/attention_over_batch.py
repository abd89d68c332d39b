"""Finds nn.MultiheadAttention that takes the images of the batch for tokens: batch_first=True is missing."""

from collections.abc import Iterator

from vit_trace.base.trace import Stage, Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.changes.records import MULTIHEAD, AttributeChange, InputChange, batch_comes_first
from vit_trace.diagnose.pixels import images
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake


@silent_mistake("attention-over-batch")
def attention_over_batch(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """nn.MultiheadAttention gets the batch first, but was built without batch_first=True: the images of a batch attend
    to one another, and the tokens of an image do not.
    It runs, but the output of one image depends on the others. Build the layer with batch_first=True. Found by tracing
    twice as many images.
    """
    suspects = {stage.name: stage for stage in trace.stages if _takes_tokens_first(trace, stage)}
    if not suspects or not images(trace):
        return
    twice = case().twice(InputChange(""))
    more = {stage.name: stage for stage in twice.stages} if twice is not None and twice.failure is None else {}
    found = [stage for name, stage in suspects.items() if name in more and _grows_with_batch(stage, more[name])]
    if found:
        paths = [stage.module for stage in found]
        (count, many, _), name = found[0].inputs[0].shape, paths[0] or MULTIHEAD
        message = f"{name} attends over the batch: it reads {shape_text(found[0].inputs[0].shape)} as {count} "
        message += f"token{'s' * (count != 1)} of {many} images"
        others = f", and {len(found) - 1} more" if len(found) > 1 else ""
        note = f"built without batch_first=True{others}: with twice as many images it gets twice as many tokens"
        text = f"batch_first=True in {' and '.join(paths) if len(paths) < 3 else f'every nn.{MULTIHEAD}'}"
        yield Mistake(message, found[0].source, (note,), (AttributeChange.batch_first(paths, text),))


def _takes_tokens_first(trace: Trace, stage: Stage) -> bool:
    shapes = [spec.shape for spec in stage.inputs[:1]]
    return stage.operation == MULTIHEAD and [*map(len, shapes)] == [3] and batch_comes_first(trace, stage) is False


def _grows_with_batch(one: Stage, two: Stage) -> bool:
    """Whether with twice as many images the first axis, which is taken for the tokens, is twice as long."""
    (before, *others), after = one.inputs[0].shape, two.inputs[0].shape
    return after == (2 * before, *others)
