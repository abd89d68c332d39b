"""Finds sums of activations that broadcast one that should not be."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.silent import MakeCase, Mistake, once_a_line, silent_mistake


@silent_mistake("residual-broadcast")
def residual_broadcast(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """A sum of two activations broadcasts one of them: one token is added to all, or a branch to what was pooled.
    Examples: x + attn(x)[:, :1]; attn(x) + x.mean(1, keepdim=True). It runs, but what is added belongs elsewhere.
    """
    from vit_trace.mixing.sums import broadcasts

    measured = case().measured
    if measured is None:
        return
    for event, what in once_a_line(broadcasts(measured), lambda pair: measured.stage(pair[0])):
        stage = measured.stage(event)
        one, two, whole = (shape_text(tensor.shape) for tensor in (*event.given[:2], event.made[0]))
        note = f"in a small copy: {one} and {two} give {whole}; {what}"
        yield Mistake(f"{stage.name} is a sum that broadcasts {what}", stage.source, (note,))
