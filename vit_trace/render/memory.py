"""Lays out the memory of a training step: what is allocated from the start, what is saved, where the peak is."""

from collections.abc import Iterable, Iterator

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from vit_trace.base.words import bytes_text, module_ranges
from vit_trace.memory.report import MemoryReport, budget_text, peak_words
from vit_trace.render import theme
from vit_trace.render.cells import borderless
from vit_trace.render.diagnostics import STYLES

MOST_STAGES = 6
"""Stages shown by name; the others are summed in one row."""

Row = tuple[str, int, str]


def print_memory(spec: str, report: MemoryReport, console: Console) -> None:
    batch = f" · batch {report.batch_size}" if report.batch_size else ""
    console.print(Text(f"{spec} · a training step in tensor bytes{batch}", theme.TITLE))
    console.print(_bytes_table(_step_rows(report)))
    if len(report.stages) > 1:
        console.print(Group(Text("  saved activations of"), _bytes_table(_saving_rows(report), report.activations, 4)))
    if report.budget is not None:  # fits 24.0 GiB · largest batch 148
        style = "" if report.fits else STYLES["error"]
        text = Text(f"{'fits' if report.fits else 'does not fit'} {budget_text(report.budget)}", style)
        if report.largest_batch is not None:
            text.append(f" · largest batch {report.largest_batch}" if report.largest_batch else " · no batch does")
        console.print(text)
    console.print(Text(f"not counted: {'; '.join(report.left_out)}", theme.SAME))


def _bytes_table(lines: Iterable[Row], whole: int = 0, indent: int = 2) -> Table:
    """Name, bytes, remark."""
    made = borderless()
    made.add_column(min_width=20, overflow="fold")
    made.add_column(justify="right", no_wrap=True, min_width=10)
    made.add_column(overflow="fold")
    for name, size, remark in lines:
        share = f"{100 * size / whole:.0f} %" if whole else remark
        made.add_row(Text(f"{' ' * indent}{name}"), Text(bytes_text(size)), Text(share, theme.SAME))
    return made


def _step_rows(report: MemoryReport) -> Iterator[Row]:
    """What is always allocated, what the forward pass saves, and the peaks."""
    yield "parameters", report.parameters, report.precision
    if report.buffers:
        yield "buffers", report.buffers, ""
    yield "gradients", report.gradients, ""
    yield "optimizer state", report.optimizer_state, report.optimizer
    yield "inputs", report.inputs, ""
    said = [f"{module_ranges(report.recomputed)} recomputed in the backward pass"] if report.recomputed else []
    if report.dropout_masks:
        said.append(f"including {bytes_text(report.dropout_masks)} of dropout masks, a quarter of that on a GPU")
    yield "saved activations", report.activations, "; ".join(said)
    yield "peak, first step", report.first_step.bytes, peak_words(report.first_step)
    yield "peak, later steps", report.peak.bytes, peak_words(report.peak)


def _saving_rows(report: MemoryReport) -> Iterator[Row]:
    """The stages that save most, then all others together."""
    yield from ((module_ranges(one.stages), one.bytes, "") for one in report.stages[:MOST_STAGES])
    if rest := report.stages[MOST_STAGES:]:
        yield "all others", sum(one.bytes for one in rest), ""
