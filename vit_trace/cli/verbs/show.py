"""Shows a saved trace."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vit_trace.base.refused import refuse
from vit_trace.cli.options import SCREEN, TALKING, Option, OptionGroup, Output, Talk, output_of, verb
from vit_trace.cli.output import destinations, write
from vit_trace.cli.verbs.trace import needs_source, report_trace, require_table, told_of
from vit_trace.view.screen import Screen, Viewed

if TYPE_CHECKING:
    from vit_trace.base.trace import Trace

ABOUT_FILE = "A trace saved with -o trace.json or --format json; - for stdin."
FILE = Option("file", None, ABOUT_FILE, ..., Path, positional=True)


class _WhatIf(NamedTuple):
    """Values to show the trace at, and whether beside those that it was saved with."""

    changes: tuple[str, ...] = ()
    compare: bool = False


WHAT_IF = OptionGroup(
    _WhatIf,
    (
        Option("changes", "NAME=VALUE", "Sizes at other values: image_size=384, b=1.", (), flags=("--with",)),
        Option("compare", None, "Show it beside the saved trace; image_size=256,384 compares two values.", False),
    ),
    "What if",
)


@verb(file=FILE, what_if=WHAT_IF, screen=SCREEN, talk=TALKING, output=output_of("trace"))
def show(file: Path, what_if: _WhatIf, screen: Screen, talk: Talk, output: Output) -> int:
    """Show a saved trace, without torch."""
    from vit_trace.cli.tracing import read_trace

    where = destinations("trace", output, screen.view)
    saved = read_trace(file)
    if needs_source(screen, where) and not saved.listing:
        help = ("save it with: vit-trace --view source -o trace.json",)
        raise refuse("no-listing", f"{file} was saved without the model's source", help=help)
    if screen.sort == "saved" and (saved.saved is None or what_if.changes):
        help = ("measure it with: vit-trace --sort saved",)
        raise refuse("memory-not-known", f"{file} does not say what is kept for backward at these values", help=help)
    beside = _beside(saved, *what_if)
    require_table(len(beside) > 1, screen, where)
    trace = beside[-1][1]
    write(Viewed(trace, screen, beside if len(beside) > 1 else ()), where, told_of(trace, talk))
    return report_trace(trace, screen.traceback, talk)


def _beside(saved: Trace, changes: Sequence[str], compare: bool) -> tuple[tuple[str, Trace], ...]:
    """The traces to show, with the values that they are at: image_size=256,384 makes two of them. Raises Refused."""
    from vit_trace.cli.tracing import reevaluated

    if compare and not changes:
        raise refuse("usage", "--compare with what?", help=("--with image_size=384 --compare",))
    named = [(name, text.split(",")) for name, _, text in (change.partition("=") for change in changes)]
    settings = product(*([f"{name}={text}" for text in texts] for name, texts in named))
    found = [(", ".join(values), reevaluated(saved, values) if values else saved) for values in settings]
    before = [(_saved_values(saved, changes), saved)] if compare else []
    return (*before, *found)


def _saved_values(trace: Trace, changes: Sequence[str]) -> str:
    """What the saved trace has in place of the changed values: image_size=224."""
    names = [change.partition("=")[0] for change in changes]
    values = {name: trace.target.hyperparameters.get(name) for name in names}
    values |= {name: trace.symbols[name].value for name in names if name in trace.symbols}
    said = {name: "x".join(map(str, one)) if isinstance(one, list) else one for name, one in values.items()}
    return ", ".join(f"{name}={value}" for name, value in said.items() if value is not None) or "as saved"
