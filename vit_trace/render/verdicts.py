"""Shows what `check` found: each error and warning with its line, then one row per config, then the counts."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vit_trace.base.words import compact
from vit_trace.check.verdict import Suggestion, Verdict
from vit_trace.render import theme
from vit_trace.render.cells import borderless
from vit_trace.render.diagnostics import STYLES, print_diagnostic
from vit_trace.render.legible import printable
from vit_trace.render.memory import print_memory
from vit_trace.render.places import counts_of, summary_line

TRIED = "(tried: builds and runs)"
MOST_ROWS = 40
"""Above this many configs, those without an error or warning get no row."""

COSTS = 60
"""Columns of outcome and costs; without room for them, costs are left out."""


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    for diagnostic in (one for verdict in verdicts for one in verdict.diagnostics if one.severity != "note"):
        print_diagnostic(console, diagnostic)
        console.print()
    some = len(verdicts) > MOST_ROWS or "warning" in getattr(verdicts, "hidden", ())
    shown = [one for one in verdicts if not some or one.count("error") or one.count("warning")]
    if shown:
        console.print(_verdict_table(shown, console.width))
    if len(shown) < len(verdicts) > MOST_ROWS:
        console.print(Text(f"and {len(verdicts) - len(shown)} without error or warning", theme.SAME))
    _print_notes(shown, console)
    for verdict in verdicts:
        if verdict.memory is not None:
            console.print()
            print_memory(verdict.spec, verdict.memory, console)
        for one in verdict.suggestions:
            console.print()
            console.print(Text(f"{verdict.spec} · {one.name} {one.present}", theme.TITLE))
            if one.rule:
                console.print(Text(printable(one.rule)))
            console.print(_suggested(one))
    console.print()
    console.print(Text(summary_line(verdicts), theme.TITLE))


def _verdict_table(verdicts: Sequence[Verdict], width: int) -> Table:
    """Spec, what was found and, if there is room, parameters and FLOPs per image."""
    table = borderless()
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    room = max(cell_len(verdict.spec) for verdict in verdicts) + COSTS <= width
    for _ in range(2 if room else 0):
        table.add_column(justify="right", no_wrap=True)
    for verdict in verdicts:
        counts = [Text(text, STYLES[name]) for name, text in counts_of([verdict]).items() if name != "note"]
        costs = map(Text, _costs(verdict)) if room else ()
        table.add_row(Text(printable(verdict.spec)), Text(", ").join(counts or [Text("ok")]), *costs)
    return table


def _costs(verdict: Verdict) -> tuple[str, str]:
    if verdict.parameters is None or verdict.flops is None:
        return "", ""
    flops = f"{compact(verdict.flops // (verdict.batch_size or 1))}FLOPs{' an image' * bool(verdict.batch_size)}"
    return f"{compact(verdict.parameters)} parameters", flops


def _print_notes(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print one line per note: its message and the first remedy."""
    found = [(verdict.spec, one) for verdict in verdicts for one in verdict.diagnostics if one.severity == "note"]
    if found:
        console.print()
    for spec, diagnostic in found:
        helped = f"; {diagnostic.help[0].replace(TRIED, '(tried)')}" if diagnostic.help else ""
        head = Text(f"note[{diagnostic.code}]", STYLES["note"])
        console.print(Text.assemble(f"{spec}: ", head, f": {diagnostic.message}{helped}"), soft_wrap=False)


def _suggested(suggestion: Suggestion) -> Table:
    """One row per value: its costs and the codes of its warnings."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=theme.COLUMN)
    for title in (suggestion.name, "parameters", "FLOPs a forward"):
        table.add_column(title, justify="right")
    table.add_column("")
    for one in suggestion.values:
        said = Text(", ".join(("now",) * one.present + one.warnings), theme.SAME)
        style = theme.CHANGED if one.present else ""
        table.add_row(one.value, f"{one.parameters:,}", compact(one.flops), said, style=style)
    return table
