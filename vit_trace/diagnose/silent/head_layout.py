"""Finds heads that are cut from the features in one order and put together, or compared, in another."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.diagnose.silent import MakeCase, Mistake, once_a_line, silent_mistake


@silent_mistake("head-layout")
def head_layout(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """One attention cuts its features into heads in two orders, or puts them together in another than it cut them.
    Example: "b n (h d) -> b h n d" for q and "b n (d h) -> b h n d" for k. It runs and may even learn, but weights of
    other implementations do not fit. The usual order is (h d): the features of one head stand together.
    """
    from vit_trace.mixing.heads import mismatches

    measured = case().measured
    if measured is None:
        return
    stages = measured.trace.stages
    for odd, other in once_a_line(mismatches(measured), lambda pair: stages[pair[0].mover]):
        stage, beside = stages[odd.mover], stages[other.mover]
        notes = (f"{beside.name} has the features of one head together, (h d)",) if other.usual else ()
        yield Mistake(f"{stage.name} orders heads and features unlike {beside.name}", stage.source, notes)
