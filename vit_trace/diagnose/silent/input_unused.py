"""Finds inputs, channels and frames on which no output depends, and tokens that never meet."""

from collections.abc import Iterator

from vit_trace.base.trace import Stage, Trace
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake


@silent_mistake("input-unused")
def input_unused(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """No output depends on an input, or on one of its channels or frames, or on most of its pixels.
    Examples: a mean or an index over the wrong axis; a class token that never meets the patches. It runs, but what the
    model does not look at, it cannot learn from. Found by the gradients of a small copy, and by changing those values.
    """
    from vit_trace.mixing.attention import last_attention
    from vit_trace.mixing.unused import cut_off, joined_twice, unused, without_input

    measured = case().measured
    if measured is None:
        return
    for event, what in (*without_input(measured), *joined_twice(measured)):
        stage = measured.stage(event)
        yield Mistake(f"{stage.name} {what}", measured.source(event), ("seen in a small copy",))
    if (first := cut_off(measured)) is not None:
        stage = measured.stage(first)
        note = "in a small copy: nothing that is made of the input leads to an output"
        message = f"no output depends on the input: {stage.name} goes on without it"
        yield Mistake(message, measured.source(first), (note,))
        return
    for found in unused(measured):
        if found.tokens and last_attention(measured, found.event) is not None:  # said as tokens-never-meet
            continue
        dropped = measured.stage(found.event) if found.event is not None else None
        if dropped is not None and _covers(trace, dropped):  # its kernel is as wide as its steps, but not in the copy
            continue
        note = f"in a small copy: with other values there, all outputs stay the same ({found.share:.0%} of the input)"
        where = f": {dropped.name} leaves it out" if dropped is not None else ""
        yield Mistake(
            f"no output depends on {found.what}{where}",
            measured.source(found.event) if found.event is not None else None,
            (note,),
        )


def _covers(trace: Trace, small: Stage) -> bool:
    """Whether the convolution of a small copy reads every pixel in the model itself."""
    weights = {one.name: one.shape for one in trace.parameters}
    stage = next((one for one in trace.stages if one.name == small.name and one.operation.startswith("Conv")), None)
    kernel = weights.get(f"{stage.module}.weight", ())[2:] if stage is not None else ()
    if stage is None or not kernel:
        return False
    given, made = (one.shape[-len(kernel) :] for one in (stage.inputs[0], stage.outputs[0]))
    return all(one * two >= side for one, two, side in zip(made, kernel, given, strict=True))
