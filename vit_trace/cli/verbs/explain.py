"""Explains a size, a stage or the code of a diagnostic."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING

from vit_trace.base.refused import refuse
from vit_trace.base.words import whole_number
from vit_trace.cli.options import BARE_MODEL, Option, verb
from vit_trace.cli.output import Exit

if TYPE_CHECKING:
    from vit_trace.base.trace import Stage, Trace
    from vit_trace.targets.request import Request

FIRST = Option("spec_or_what", "[SPEC]", "As for trace; may be left out.", positional=True)
SECOND = Option("what", "SIZE|STAGE|CODE", "A size such as 3072, a stage, a diagnostic's code.", positional=True)


@verb(first=FIRST, second=SECOND, model=BARE_MODEL)
def explain(first: str | None, second: str | None, model: Request) -> int:
    """Explain a size, a stage, or the code of a diagnostic.

    A size: where it stands and its formula there. A stage: its sizes with each hyperparameter doubled. The code of a
    diagnostic: what it means; `codes` shows all of them.
    """
    from rich.text import Text

    from vit_trace.render.codes import explain_code
    from vit_trace.render.console import console_for

    if first is None:
        help = ("vit-trace explain 3072", "vit-trace explain mlp_head", "vit-trace explain broadcast")
        raise refuse("usage", "explain what? A size, a stage, or the code of a diagnostic", help=help)
    spec, subject = (None, first) if second is None else (first, second)
    console = console_for(sys.stdout)
    if spec is None and (meaning := explain_code(subject, console.width)):
        console.print(Text(meaning))
        return Exit.WELL
    from vit_trace.cli.tracing import run_trace
    from vit_trace.render.explain import print_size, print_stages

    trace = run_trace(spec, model)
    if subject.isdecimal():
        size = whole_number(subject)
        _require_size(trace, size)
        print_size(trace, size, console)
    else:
        print_stages(trace, _require_stages(trace, subject), console)
    return Exit.WELL


def _require_size(trace: Trace, size: int) -> None:
    """Refuse a size that does not stand in the trace. Raises Refused."""
    from vit_trace.dims.explain import sizes_in

    found = sizes_in(trace)
    if size not in found:
        near = sorted(found, key=lambda other: abs(other - size))[:3]
        raise refuse("no-such-size", f"no size is {size}", help=(f"sizes near it: {', '.join(map(str, near))}",))


def _require_stages(trace: Trace, name: str) -> list[Stage]:
    """The stages of a name. Raises Refused."""
    from vit_trace.dims.explain import stages_named

    stages = stages_named(trace, name)
    if not stages:
        near = get_close_matches(name, [stage.name for stage in trace.stages], 3, 0.4)
        help = (f"did you mean {', '.join(near)}?",) if near else ()
        raise refuse("no-such-stage", f"no stage is named {name}", help=help)
    return stages
