"""Explains a size, a stage or the code of a diagnostic."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vit_trace.base.refused import refuse
from vit_trace.cli.options import BARE_MODEL, PAGER, Option, verb
from vit_trace.cli.output import Exit, stdout_is_file
from vit_trace.cli.paging import paged

if TYPE_CHECKING:
    from vit_trace.targets.request import Request

FIRST = Option("spec_or_what", "[SPEC]", "As for trace; may be left out.", positional=True)
SECOND = Option("what", "SIZE|SHAPE|NAME|CODE", "197, 2x768, a stage, a symbol, a code.", positional=True)


@verb(first=FIRST, second=SECOND, model=BARE_MODEL, pager=PAGER)
def explain(first: str | None, second: str | None, model: Request, pager: bool) -> int:
    """Explain a size, shape, stage, parameter, symbol or code.

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
            from vit_trace.render.answer import print_answer

            print_answer(trace, subject, console_for(stream))
    return Exit.WELL
