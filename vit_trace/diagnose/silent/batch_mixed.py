"""Finds steps through which one image of a batch changes what comes out for the others."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake
from vit_trace.diagnose.silent.attention_over_batch import attention_over_batch


@silent_mistake("batch-mixed")
def batch_mixed(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """What the model returns for one image depends on the other images of the batch.
    Examples: attention, softmax or a mean over the first axis; norm(x)[0] for norm(x)[:, 0]; a reshape that puts images
    among the tokens. It runs, but an image gets other scores in another batch. Found by changing one image of a small
    copy of the model, and looking where what is computed from the others changes first.
    """
    from vit_trace.mixing.coordinates import BATCH
    from vit_trace.mixing.sums import mixed_before_layers, moves_images, over_images

    measured = case().measured
    if measured is None or any(attention_over_batch(trace, case)):
        return
    event = measured.first_mixed or mixed_before_layers(measured) or over_images(measured)
    if event is None and (event := measured.first_by_place) is not None:
        note = f"in a small copy with {BATCH} equal images: what it returns for them differs"
        message = f"{measured.stage(event).name} treats images by their place in the batch"
        yield Mistake(message, measured.source(event), (note,))
    elif event is not None:
        stage = measured.stage(event)
        given, made = (
            " and ".join(shape_text(one.shape) for one in some) for some in (event.given[:1], event.made[:1])
        )
        note = f"in a small copy with {BATCH} images: with another first image, what it returns for the others changes"
        moved = moves_images(measured, event)
        source = measured.source(moved) if moved is not None else stage.source
        yield Mistake(f"{stage.name} mixes images: {event.name} of {given} gives {made}", source, (note,))
