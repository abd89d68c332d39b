"""Traces a model: the default verb."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vit_trace.cli.options import MODEL, SCREEN, Option, Output, output_of, verb
from vit_trace.cli.output import Destination, Exit, destinations, print_diagnostics, say, write
from vit_trace.targets.libraries import prefixes
from vit_trace.view.screen import Screen, Viewed

if TYPE_CHECKING:
    from vit_trace.base.trace import Trace
    from vit_trace.targets.request import Request

ABOUT_SPEC = (
    f"{', '.join(f'{prefix}:NAME' for prefix in prefixes())}, a config.json, package.module:NAME, FILE.py:NAME or a "
    "YAML file; without it the reference ViT."
)
SPEC = Option("spec", "[SPEC]", ABOUT_SPEC, positional=True)


@verb(spec=SPEC, model=MODEL, screen=SCREEN, output=output_of("trace"))
def trace(spec: str | None, model: Request, screen: Screen, output: Output) -> int:
    """Trace a model: every stage of one forward pass with its shapes. The default verb."""
    from vit_trace.cli.tracing import run_trace

    where = destinations("trace", output, screen.view)
    found = run_trace(spec, model, needs_source(screen, where))
    write(Viewed(found, screen), where)
    return report_trace(found, screen.traceback)


def needs_source(screen: Screen, where: Sequence[Destination]) -> bool:
    """Whether the model's source is shown, so that the trace must hold its lines."""
    return screen.view == "source" or any(one.format.needs_source for one in where)


def report_trace(trace: Trace, traceback: bool) -> int:
    """Print the diagnostics of a trace to stderr, a traceback where it is asked for; the exit code."""
    failure = trace.failure
    print_diagnostics([*trace.diagnostics, *([failure] if failure else [])])
    if failure is None:
        return Exit.WELL
    defect = failure.code == "internal-defect"
    if traceback or defect:
        say("\n".join(failure.traceback))
    return Exit.DEFECT if defect else Exit.FOUND
