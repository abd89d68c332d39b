"""Finds outputs that read one patch alone, or all patches but one, or another token than the class token."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake


@silent_mistake("wrong-readout")
def wrong_readout(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """After the last attention the model goes on with one patch alone, with all patches but one, or with a learned
    token that is not the class token.
    Examples: x[:, 1] or x[:, -1] where the class token stands first; x[:, 0] in a model without a class token;
    x[:, 1:].mean(1) there. It runs, but what is read is not what was meant to be read.
    """
    from vit_trace.mixing.readout import odd_readouts

    measured = case().measured
    for found in odd_readouts(measured) if measured is not None else ():
        assert measured is not None
        stage = measured.stage(found.event)
        yield Mistake(f"{stage.name} {found.what}", stage.source, ("in a small copy, after the last attention",))
