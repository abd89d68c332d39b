"""Explains a size, a stage or the code of a diagnostic."""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING

from vit_trace.base.refused import refuse
from vit_trace.base.words import whole_number
from vit_trace.cli.options import BARE_MODEL, PAGER, Option, verb
from vit_trace.cli.output import Exit, stdout_is_file
from vit_trace.cli.paging import paged

if TYPE_CHECKING:
    from rich.console import Console

    from vit_trace.base.trace import Stage, Trace
    from vit_trace.targets.request import Request

SHAPE = re.compile(r"\d+([x×]\d+)+")

FIRST = Option("spec_or_what", "[SPEC]", "As for trace; may be left out.", positional=True)
SECOND = Option("what", "SIZE|SHAPE|NAME|CODE", "197, 2x768, a stage, a symbol, a code.", positional=True)


@verb(first=FIRST, second=SECOND, model=BARE_MODEL, pager=PAGER)
def explain(first: str | None, second: str | None, model: Request, pager: bool) -> int:
    """Explain a size, a shape, a stage, a parameter, a symbol, or the code of a diagnostic.

    A size or a shape: what it is made of, the step that made it, and where it stands. A stage: its sizes with each
    hyperparameter doubled. The code of a diagnostic: what it means; `codes` shows all of them.
    """
    if first is None:
        help = tuple(f"vit-trace explain {what}" for what in ("3072", "2x768", "mlp_head", "broadcast"))
        raise refuse("usage", "explain what? A size, a stage, or the code of a diagnostic", help=help)
    from rich.text import Text

    from vit_trace.render.codes import explain_code
    from vit_trace.render.console import console_for

    spec, subject = (None, first) if second is None else (first, second)
    width = console_for(sys.stdout).width
    meaning = explain_code(subject, width, stdout_is_file()) if spec is None else ""
    trace = None
    if not meaning:
        from vit_trace.cli.tracing import run_trace

        trace = run_trace(spec, model)
    with paged(pager) as stream:
        if trace is None:
            console_for(stream).print(Text(meaning))
        else:
            _print_answer(trace, subject, console_for(stream))
    return Exit.WELL


def _print_answer(trace: Trace, subject: str, console: Console) -> None:
    """The size, shape, stage, parameter or symbol that was asked for. Raises Refused."""
    from vit_trace.render.explain import print_parameter, print_shape, print_size, print_stages, print_symbol

    if subject.isdecimal():
        size = whole_number(subject)
        _require_size(trace, size)
        print_size(trace, size, console)
    elif SHAPE.fullmatch(subject):
        shape = tuple(map(whole_number, re.split("[x×]", subject)))
        _require_shape(trace, shape)
        print_shape(trace, shape, console)
    elif held := [one for one in trace.parameters if one.name == subject]:
        print_parameter(held[0], console)
    elif subject in trace.symbols and subject not in {stage.name for stage in trace.stages}:
        print_symbol(trace, subject, console)
    else:
        print_stages(trace, _require_stages(trace, subject), console)


def _require_shape(trace: Trace, shape: tuple[int, ...]) -> None:
    """Refuse a shape that no stage has. Raises Refused."""
    from vit_trace.base.words import shape_text

    found = {spec.shape for stage in trace.stages for spec in stage.outputs}
    if shape not in found:
        near = [shape_text(one) for one in found if len(one) == len(shape) and set(one) & set(shape)]
        help = (f"shapes near it: {', '.join(sorted(near)[:3])}",) if near else ()
        raise refuse("no-such-size", f"no stage has an output of {shape_text(shape)}", help=help)


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
