"""Traces a model: the default verb."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from vit_trace.base.refused import refuse
from vit_trace.base.trace import ALWAYS_SAID
from vit_trace.cli.options import MODEL, SCREEN, STOPS, TALKING, Option, OptionGroup, Output, Talk, output_of, verb
from vit_trace.cli.output import Destination, Exit, destinations, print_diagnostics, say, write
from vit_trace.targets.libraries import prefixes
from vit_trace.view.screen import Screen, Viewed

if TYPE_CHECKING:
    from vit_trace.base.trace import Diagnostic, Trace
    from vit_trace.targets.request import Request

ABOUT_SPEC = (
    f"{', '.join(f'{prefix}:NAME' for prefix in prefixes())}, a config.json, package.module:NAME, FILE.py:NAME or a "
    "YAML file; NAME.METHOD traces a method; without a SPEC the reference ViT."
)
SPEC = Option("spec", "[SPEC]", ABOUT_SPEC, positional=True)


class _Models(NamedTuple):
    """The model to trace, one to compare it with, and where to stop in it."""

    spec: str | None
    compare: str | None
    stops: tuple[str, ...]


COMPARE = Option("compare", "SPEC", "Show what differs from another model, or from itself without other flags.")
MODELS = OptionGroup(_Models, (SPEC, COMPARE, STOPS), MODEL.panel)


@verb(models=MODELS, model=MODEL, screen=SCREEN, talk=TALKING, output=output_of("trace"))
def trace(models: _Models, model: Request, screen: Screen, talk: Talk, output: Output) -> int:
    """Trace a model: every stage of one forward pass with its shapes. The default verb."""
    from vit_trace.cli.tracing import run_trace

    where = destinations("trace", output, screen.view)
    require_table(models.compare is not None, screen, where)
    kept = "needed" if screen.sort == "saved" else "if known" if model.train or models.compare else ""
    traces: list[tuple[str, Trace]] = []
    for label, spec, request in _runs(models, model):
        with stopped(models.stops):
            found = run_trace(spec, request, needs_source(screen, where), kept)
        traces = [*traces, (label, found)] if found.failure is None else [(label, found)]
        if found.failure is not None:
            break
    write(Viewed(traces[0][1], screen, tuple(traces) if len(traces) > 1 else ()), where, told_of(found, talk))
    return report_trace(found, screen.traceback, talk)


@contextmanager
def stopped(wanted: tuple[str, ...]) -> Iterator[None]:
    """Stop the first forward in the debugger at what is wanted; say what never came."""
    if not wanted:
        yield
        return
    from vit_trace.cli.tracing import import_torch

    import_torch()
    from vit_trace.record.stopping import stopping

    with stopping(wanted) as stops:
        yield
    for missed in dict.fromkeys(wanted):
        if missed not in stops.met:
            say(f"vit-trace: no step met --break {missed}")


def _runs(models: _Models, model: Request) -> list[tuple[str, str | None, Request]]:
    """What to trace, with its label; a model beside itself is shown as it is, then with the flags that change it."""
    spec, compare, _ = models
    changes = ", ".join([*(f"{name}={value}" for name, value in model.flags.items()), *model.assignments])
    if compare is not None and spec == compare and changes:
        return [(spec, spec, replace(model, flags={}, assignments=())), (changes, spec, model)]
    return [(one or "built-in ViT", one, model) for one in (spec, compare)[: 1 + (compare is not None)]]


def require_table(beside: bool, screen: Screen, where: Sequence[Destination]) -> None:
    """Refuse another view, order or format than a table for traces side by side. Raises Refused."""
    if beside and (screen.view != "table" or screen.sort or any(one.format.suffixes != (".txt",) for one in where)):
        raise refuse("usage", "traces side by side are a table: no other view, order or format shows them")


def needs_source(screen: Screen, where: Sequence[Destination]) -> bool:
    """Whether the model's source is shown, so that the trace must hold its lines."""
    return screen.view == "source" or any(one.format.needs_source for one in where)


def told_of(trace: Trace, talk: Talk) -> list[Diagnostic]:
    """The diagnostics to print: the failure always, notes only where they are asked for."""
    kept = [one for one in trace.diagnostics if talk.verbose or one.severity != "note" or one.code in ALWAYS_SAID]
    kept = [one for one in kept if not talk.quiet or one.severity == "error"]
    return [*kept, *filter(None, [trace.failure])]


def report_trace(trace: Trace, traceback: bool, talk: Talk = Talk()) -> int:
    """Print the diagnostics of a trace to stderr, a traceback where it is asked for; the exit code."""
    failure = trace.failure
    print_diagnostics(told := told_of(trace, talk))
    hidden = sum(one.severity == "note" and one not in told for one in trace.diagnostics)
    if hidden and not talk.quiet:
        say(f"{hidden} note{'s' * (hidden > 1)}: -v shows {'them' if hidden > 1 else 'it'}")
    if failure is None:
        return Exit.WELL
    defect = failure.code == "internal-defect"
    if traceback or defect:
        say("\n".join(failure.traceback))
    return Exit.DEFECT if defect else Exit.FOUND
