"""Lays out the memory of a training step: what is allocated from the start, what is saved, where the peak is."""

from collections.abc import Iterable, Iterator

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from vit_trace.base.words import bytes_text, module_ranges
from vit_trace.memory.report import MemoryReport, budget_text, grounds, peak_words, what
from vit_trace.render import theme
from vit_trace.render.cells import borderless
from vit_trace.render.diagnostics import STYLES

MOST_STAGES = 6
"""Stages shown by name; the others are summed in one row."""

ADDED = (
    ("EMA weights", "a copy of parameters and buffers"),
    ("DDP buckets", "gradients that wait to be sent"),
    ("next batch", "on the device already"),
)
"""What options add, with a remark."""

Row = tuple[str, int, str]


def print_memory(spec: str, report: MemoryReport, console: Console) -> None:
    batch = f" · batch {report.batch_size}" if report.batch_size else ""
    console.print(Text(f"{spec} · {what(report.training)} on {report.training.device}{batch}", theme.TITLE))
    if report.budget is not None:  # fits 24.0 GiB · largest batch 148
        style = "" if report.fits else STYLES["error"]
        text = Text(f"{'fits' if report.fits else 'does not fit'} {budget_text(report.budget)}", style)
        if report.largest_batch is not None:
            text.append(f" · largest batch {report.largest_batch}" if report.largest_batch else " · no batch does")
        console.print(text)
    console.print(_bytes_table(_step_rows(report)))
    if len(report.stages) > 1:
        console.print(Group(Text("  saved activations of"), _bytes_table(_saving_rows(report), report.activations, 4)))
    said = [*grounds(report.training), f"not counted: {'; '.join(report.left_out)}"]
    console.print(Text("\n".join(said), theme.SAME))


def _bytes_table(lines: Iterable[Row], whole: int = 0, indent: int = 2) -> Table:
    """Name, bytes, remark."""
    made = borderless()
    made.add_column(min_width=20, overflow="fold")
    made.add_column(justify="right", no_wrap=True, min_width=10)
    made.add_column(justify="right" if whole else "left", overflow="fold")
    for name, size, remark in lines:
        share = f"{100 * size / whole:.0f} %" if whole else remark
        made.add_row(Text(f"{' ' * indent}{name}"), Text(bytes_text(size)), Text(share, theme.SAME))
    return made


def _step_rows(report: MemoryReport) -> Iterator[Row]:
    """What is always allocated, what the forward pass saves, and the peaks."""
    yield "parameters", report.parameters, report.precision
    if report.buffers:
        yield "buffers", report.buffers, ""
    trains = not report.training.inference
    if trains:
        yield "gradients", report.gradients, ""
        yield "optimizer state", report.optimizer_state, report.optimizer
    yield from ((name, report.peak.parts[name], words) for name, words in ADDED if name in report.peak.parts)
    yield "inputs", report.inputs, ""
    said = [f"{module_ranges(report.recomputed)} recomputed in the backward pass"] if report.recomputed else []
    if report.dropout_masks:
        said.append(f"including {bytes_text(report.dropout_masks)} of dropout masks")
    if trains:
        yield "saved activations", report.activations, "; ".join(said)
        yield "peak, first step", report.first_step.bytes, peak_words(report.first_step)
        yield "peak, later steps", report.peak.bytes, peak_words(report.peak)
    else:
        yield "peak", report.peak.bytes, peak_words(report.peak)
    if report.reserved:
        yield "  allocated", report.allocated, "torch.cuda.max_memory_allocated"
        yield "  reserved", report.reserved, "torch.cuda.max_memory_reserved"
        yield "  beside them", report.peak.parts.get("reserve", 0), "CUDA's context and libraries (--reserve)"


def _saving_rows(report: MemoryReport) -> Iterator[Row]:
    """The stages that save most, then all others together."""
    yield from ((module_ranges(one.stages), one.bytes, "") for one in report.stages[:MOST_STAGES])
    if rest := report.stages[MOST_STAGES:]:
        yield "all others", sum(one.bytes for one in rest), ""
