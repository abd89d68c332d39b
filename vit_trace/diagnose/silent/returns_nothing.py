"""Finds a forward that returns no tensor."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake


@silent_mistake("returns-nothing")
def returns_nothing(trace: Trace, _: MakeCase) -> Iterator[Mistake]:
    """The forward ran to its end and returned no tensor. Most often its return statement is missing."""
    if not trace.outputs and any(stage.kind in ("module", "function") for stage in trace.stages[1:]):
        yield Mistake("forward returns no tensor: is its return missing?")
