"""Holds what a training step takes, as records that become JSON, and says whether it fits. No torch."""

from msgspec import Struct

from vit_trace.base.trace import Diagnostic
from vit_trace.base.words import bytes_text
from vit_trace.memory.options import Training

THE_LOSS = "the loss: here it is the sum of the outputs"
ON_CPU = (
    "workspaces of kernels, libraries and the allocator's rounding",
    THE_LOSS,
    "what a GPU keeps otherwise: see --device cuda",
)
ON_CUDA = (
    THE_LOSS,
    "what cuDNN's algorithms take beyond their usual workspaces",
)
"""What is not counted."""

EXACT = "exact: every tensor and how long it lives, by torch's own autograd"
OF_CUDA = (
    "modelled for a card like an H100: dropout masks, attention kernels, workspaces, the allocator. 203 runs on an "
    "H200 allocated what is predicted within 1.4 %, and reserved it within 8 %: docs/how-to/gpu-memory.md"
)
OF_SHARDING = "modelled: gathered blocks and buffers, within 5 % of real steps of FSDP2"


def grounds(training: Training) -> list[str]:
    """What the figures rest on."""
    sharding = [OF_SHARDING] if training.zero > 1 else []
    return [EXACT, *sharding, *([OF_CUDA] if training.device == "cuda" else [])]


def not_counted(training: Training) -> tuple[str, ...]:
    """What the figures leave out."""
    left_out = ON_CPU if training.device == "cpu" else ON_CUDA
    return tuple(one for one in left_out if one is not THE_LOSS) if training.inference else left_out


class Peak(Struct, frozen=True):
    """The most that is alive at once: bytes, phase, module, and the bytes by kind."""

    bytes: int
    phase: str
    stage: str
    parts: dict[str, int]


class StageBytes(Struct, frozen=True):
    """What equal modules of repeated blocks save for backward, together."""

    stages: tuple[str, ...]
    bytes: int


class Remedy(Struct, frozen=True):
    """The same run with one flag changed, measured: its peak, whether it fits, the largest batch that fits."""

    flag: str
    peak: int
    fits: bool
    largest_batch: int


class MemoryReport(Struct, frozen=True):
    """Tensor bytes of a training step.

    `activations` are saved for backward, each storage once, parameters and buffers excluded; `dropout_masks` is their
    share that drops. `first_step` is the first optimizer step's peak, `peak` that of every later one, which holds the
    optimizer's state from the start. On CUDA a peak holds what the allocator reserves and the reserve; `allocated` and
    `reserved` are torch.cuda.max_memory_allocated and max_memory_reserved. `recomputed` are the modules that
    checkpointing runs again. `largest_batch` is 0 where none fits and None without a budget.
    """

    training: Training
    optimizer: str
    precision: str
    batch_size: int | None
    parameters: int
    buffers: int
    gradients: int
    optimizer_state: int
    inputs: int
    activations: int
    dropout_masks: int
    first_step: Peak
    peak: Peak
    allocated: int
    reserved: int
    stages: tuple[StageBytes, ...]
    recomputed: tuple[str, ...] = ()
    budget: int | None = None
    fits: bool | None = None
    largest_batch: int | None = None
    floor: int = 0
    remedies: tuple[Remedy, ...] = ()
    left_out: tuple[str, ...] = ()


def what(training: Training) -> str:
    return "a forward without gradients" if training.inference else "a training step"


def diagnostics(report: MemoryReport) -> tuple[Diagnostic, ...]:
    """An error where the run does not fit its budget."""
    if report.budget is None or report.fits:
        return ()
    over = report.peak.bytes - report.budget
    batch = f" at batch {report.batch_size}" if report.batch_size else ""
    message = (
        f"{what(report.training)}{batch} takes {bytes_text(report.peak.bytes)}, "
        f"{bytes_text(over)} more than {budget_text(report.budget)}"
    )
    return (Diagnostic("does-not-fit", "error", message, None, tuple(notes(report)), tuple(_helps(report))),)


def notes(report: MemoryReport) -> list[str]:
    names = {"activations": "saved activations"}
    parts = ", ".join(f"{names.get(name, name)} {bytes_text(size)}" for name, size in report.peak.parts.items())
    found = [f"the peak is in {'' if report.peak.stage else 'the '}{peak_words(report.peak)}; at the peak: {parts}"]
    if report.budget is not None and report.floor > report.budget:
        found.append(f"{_held(report)} alone take {bytes_text(report.floor)}: no batch fits")
    hopeless = [one for one in report.remedies if not one.fits and not one.largest_batch]
    return found + [f"{one.flag} does not fit either: {bytes_text(one.peak)}" for one in hopeless]


def _held(report: MemoryReport) -> str:
    """What every batch takes."""
    held = [
        "parameters",
        *(["gradients"] if report.gradients else []),
        *(["the optimizer"] * (report.optimizer_state > 0)),
    ]
    held += [name for name in ("EMA weights", "DDP buckets") if name in report.peak.parts]
    held += ["the reserve"] * ("reserve" in report.peak.parts)
    return f"{', '.join(held[:-1])} and {held[-1]}" if len(held) > 1 else held[0]


def _helps(report: MemoryReport) -> list[str]:
    found = [f"--batch-size {report.largest_batch} (tried: fits)"] if report.largest_batch else []
    for remedy in report.remedies:
        if remedy.fits:
            most = f", batches up to {remedy.largest_batch} fit" if report.batch_size else ""
            found.append(f"{remedy.flag} (tried: {bytes_text(remedy.peak)}{most})")
        elif remedy.largest_batch:
            found.append(f"{remedy.flag} --batch-size {remedy.largest_batch} (tried: fits)")
    return found


def budget_text(budget: int) -> str:
    """A budget as people say it: 24.0 GiB, or 80 GB where it is that."""
    return f"{budget // 10**9} GB" if budget % 10**9 == 0 and budget % 2**30 else bytes_text(budget)


def peak_words(peak: Peak) -> str:
    """backward at blocks.0.attn"""
    return f"{peak.phase} at {peak.stage}" if peak.stage else peak.phase
