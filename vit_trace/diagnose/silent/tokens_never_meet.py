"""Finds models where no step lets tokens look at each other."""

from collections.abc import Iterator
from itertools import islice

from vit_trace.base.trace import Trace
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake


@silent_mistake("tokens-never-meet")
def tokens_never_meet(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """No step between the patches and the output lets tokens look at each other: each is computed alone.
    Examples: attention that is never called, or whose result is dropped; attention over heads or over images. A mean
    over all tokens at the end does not count. Found by changing one token at every step of a small copy.
    """
    from vit_trace.mixing.aligned import alone
    from vit_trace.mixing.attention import attentions, last_attention, of_one_token, scores_of
    from vit_trace.mixing.unused import cut_off, unused

    measured = case().measured
    if measured is None or cut_off(measured) is not None:
        return
    for found in unused(measured):
        event = last_attention(measured, found.event) if found.tokens else None
        if event is not None:
            event = scores_of(measured, event)
            stage = measured.stage(event)
            note = "in a small copy: with other values in the input, all outputs stay the same"
            message = f"what is read from never meets the patches: {stage.name} does not let them"
            yield Mistake(message, measured.source(event), (note,))
            return
    for event in of_one_token(measured):
        stage = measured.stage(event)
        note = "in a small copy: the values that it sums are the same for every key"
        yield Mistake(f"{stage.name} gives every query the values of one token", measured.source(event), (note,))
        return
    if (last := alone(measured)) is not None:
        stage = measured.stage(last)
        note = f"in a small copy a token of {stage.name} depends on the pixels of its own patch alone"
        first, second = islice((*attentions(measured), None, None), 2)
        if first is not None and first.made[0].shape[-2:] == last.made[0].shape[1:2] * 2:  # it compares all tokens
            first = second or first
        where = f": {measured.stage(first).name} does not let them" if first is not None else ""
        yield Mistake(f"the tokens never meet{where}", measured.source(first or last), (note,))
