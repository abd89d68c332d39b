"""Finds models where no step lets tokens look at each other."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake


@silent_mistake("tokens-never-meet")
def tokens_never_meet(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """No step between the patches and the output lets tokens look at each other: each is computed alone.
    Examples: attention that is never called, or whose result is dropped; attention over heads or over images. A mean
    over all tokens at the end does not count. Found by changing one token at every step of a small copy.
    """
    from vit_trace.mixing.aligned import alone
    from vit_trace.mixing.attention import attention, lost_late
    from vit_trace.mixing.unused import unused

    measured = case().measured
    if measured is None:
        return
    event = attention(measured)
    stage = measured.stage(event) if event is not None else None
    where = f": {stage.name} does not let them" if stage is not None else ""
    if event is not None and any(found.whole and lost_late(measured, found.event) for found in unused(measured)):
        note = "in a small copy: with other values in the input, all outputs stay the same"
        yield Mistake(
            f"what is read from never meets the patches{where}", stage.source if stage is not None else None, (note,)
        )
        return
    if (last := alone(measured)) is not None:
        note = f"in a small copy a token of {measured.stage(last).name} depends on the pixels of its own patch alone"
        found = stage or measured.stage(last)
        yield Mistake(f"the tokens never meet{where}", found.source, (note,))
