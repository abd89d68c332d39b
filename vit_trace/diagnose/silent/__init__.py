"""Silent mistakes: a forward that runs and is wrong all the same. Warnings of an ordinary trace; no torch.

Each check is meant to stay silent on a sound model: it speaks only where sizes leave no other reading.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from vit_trace.base.trace import Diagnostic, Remedy, Trace
from vit_trace.diagnose.pixels import pixels_dropped
from vit_trace.diagnose.silent.exchanged import exchanged
from vit_trace.diagnose.silent.heads import heads_left_over
from vit_trace.diagnose.silent.nothing import returns_nothing
from vit_trace.diagnose.silent.ones import broadcast_ones
from vit_trace.diagnose.silent.positions import positions_cut
from vit_trace.diagnose.trials import Case

CHECKS = (pixels_dropped, positions_cut, broadcast_ones, heads_left_over, returns_nothing)


def silent(trace: Trace, case: Callable[[], Case]) -> tuple[Diagnostic, ...]:
    """What is wrong with a trace that ran; `case` is asked for only where something has to be tried."""
    found = [*chain.from_iterable(check(trace) for check in CHECKS), *exchanged(trace, case)]
    return tuple(with_remedies(one, remedies, case) for one, remedies in found)


def with_remedies(diagnostic: Diagnostic, remedies: list[Remedy], case: Callable[[], Case]) -> Diagnostic:
    """The warning with those of its remedies that were tried and run."""
    if not remedies:
        return diagnostic
    trials = case()
    trials.start()
    worked = [one for remedy in remedies if (one := trials.attempt(remedy)) is not None]
    help = tuple(f"{one.change} (tried: runs, output {one.output})" for one in worked[:2])
    return Diagnostic(diagnostic.code, "warning", diagnostic.message, diagnostic.span, diagnostic.notes, help)
