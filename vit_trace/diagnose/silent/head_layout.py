"""Finds heads that are cut from the features in one order and put together, or compared, in another."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake


@silent_mistake("head-layout")
def head_layout(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """One attention cuts its features into heads in two orders, or puts them together in another than it cut them.
    Example: "b n (h d) -> b h n d" for q and "b n (d h) -> b h n d" for k. It runs and may even learn, but weights of
    other implementations do not fit. The usual order is (h d): the features of one head stand together.
    """
    from vit_trace.mixing.heads import mismatches

    measured = case().measured
    seen = set()
    for odd, other in mismatches(measured) if measured is not None else ():
        assert measured is not None
        stage, beside = (measured.trace.stages[one.mover] for one in (odd, other))
        place = (stage.source.file, stage.source.line) if stage.source else stage.name
        if place not in seen:
            seen.add(place)
            note = f"{beside.name} has the features of one head together, (h d)" if other.usual else ""
            notes = (note,) if note else ()
            yield Mistake(f"{stage.name} orders heads and features unlike {beside.name}", stage.source, notes)
