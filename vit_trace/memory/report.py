"""Holds what a training step takes, as frozen records that become JSON. Bytes are those of tensors. No torch."""

from __future__ import annotations

from msgspec import Struct

from vit_trace.memory.options import Training

LEFT_OUT = (
    "workspaces of kernels, the CUDA context and libraries",
    "the allocator's rounding and fragmentation",
    "the loss: here it is the sum of the outputs",
    "what a GPU's kernels keep otherwise than a CPU's: its attention kernel is chosen there",
)
"""What is not counted."""


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
    share that a GPU keeps in a quarter. `first_step` is the first optimizer step's peak, `peak` that of every later
    one, which holds the optimizer's state from the start. `recomputed` are the modules that checkpointing runs again.
    `largest_batch` is 0 where none fits and None without a budget.
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
    stages: tuple[StageBytes, ...]
    recomputed: tuple[str, ...] = ()
    budget: int | None = None
    fits: bool | None = None
    largest_batch: int | None = None
    floor: int = 0
    remedies: tuple[Remedy, ...] = ()
    left_out: tuple[str, ...] = LEFT_OUT
