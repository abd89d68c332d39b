"""Explains torch.OutOfMemoryError: what a training step of the program takes, and the largest batch that fits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from msgspec import structs
from torch import Tensor, nn

from vit_trace.base.trace import Diagnostic
from vit_trace.base.words import bytes_text
from vit_trace.memory.judge import memory_report
from vit_trace.memory.options import Precision, Training, budget_of
from vit_trace.memory.report import MemoryReport, diagnostics, notes
from vit_trace.memory.subject import Unmeasured
from vit_trace.record.meta.tensors import leaves
from vit_trace.record.raised.crash import Crash, held_by
from vit_trace.record.source import frames
from vit_trace.scripts.replay import Root, light_copy, mapped, quietly
from vit_trace.scripts.slices import sliced
from vit_trace.targets.target import Target

WORDS = {
    "--batch-size": "batch size",
    "--checkpointing": "checkpointing of the repeated blocks",
    "--precision bf16-mixed": "autocast to bfloat16",
    "--precision bf16": "model and images in bfloat16",
}
"""What a remedy of `check --memory` is called in a program."""


def of_memory(crash: Crash, casts: bool) -> Diagnostic | None:
    """What fills the device; None for another exception, and where the step is not known."""
    if not isinstance(crash.error, torch.OutOfMemoryError):
        return None
    root = next(_steps(crash), None)
    if root is None:
        return None
    optimizer, said = _optimizer(crash)
    precision: Precision = "bf16-mixed" if casts else "fp32"
    with quietly():
        try:
            training = Training(None, optimizer, precision)
            report = memory_report(_target(root), training, _capacity(str(crash.error)))
        except (Unmeasured, ValueError):
            return None
    found = _told(report)
    by = frames.span(crash.own[-1][0].f_code, crash.own[-1][1]) if crash.own else None
    return structs.replace(found, span=by, notes=(*found.notes, *said, crash.quoted))


def _steps(crash: Crash) -> Iterator[Root]:
    """The forward of the step: up to the loss where backward is called, else the module that was called."""
    if not crash.calls:
        arounds = (sliced(entry, through="backward") for entry in reversed(crash.own))
        yield from (Root(one.step, (), one.given) for one in arounds if one is not None and _trains(one.step))
        return
    frame, _ = crash.entries[crash.calls[0]]
    model: Any = frame.f_locals.get("self")
    if isinstance(model, nn.Module):
        yield Root(held_by(model), frame.f_locals.get("args") or (), frame.f_locals.get("kwargs") or {})


def _trains(model: nn.Module) -> bool:
    return any(one.requires_grad for one in model.parameters())


def _optimizer(crash: Crash) -> tuple[str, list[str]]:
    """The optimizer among the variables of the program, and what is not counted of it."""
    for frame, _ in reversed(crash.entries):
        held = frame.f_locals
        for one in (*held.values(), *getattr(held.get("self"), "__dict__", {}).values()):
            if isinstance(one, torch.optim.SGD):
                return "sgd+momentum" if one.defaults.get("momentum") else "sgd", []
            if isinstance(one, torch.optim.Optimizer):
                alike = isinstance(one, (torch.optim.Adam, torch.optim.AdamW))
                return "adamw", [] if alike else [f"{type(one).__name__} is counted as AdamW"]
    return "none", []


def _target(root: Root) -> Target:
    given = tuple(root.args), dict(root.kwargs)
    first = next((tensor for _, tensor in leaves(given) if tensor.ndim), None)
    batch = first.shape[0] if first is not None else None

    def fed(size: int | None) -> Any:
        return mapped(given, partial(_resized, batch, size))

    name = type(root.model).__name__
    return Target(
        name,
        name,
        {},
        lambda: light_copy(root.model),
        lambda: fed(batch),
        batch=batch,
        feeds=lambda size: [partial(fed, size)],
    )


def _resized(batch: int | None, size: int | None, tensor: Tensor) -> Tensor:
    """A tensor on meta, for a batch of another size."""
    shape = list(tensor.shape)
    if shape and shape[0] == batch and size is not None:
        shape[0] = size
    return torch.empty(shape, dtype=tensor.dtype, device="meta")


def _capacity(text: str) -> int | None:
    """The bytes of the device, from torch's own words, else from the device."""
    said = re.search(r"total capacity of ([\d.]+ ?[KMGT]i?B)", text)
    if said is not None:
        return budget_of(said[1])
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
    return None


def _told(report: MemoryReport) -> Diagnostic:
    for one in diagnostics(report):
        helps = []
        for help in one.help:
            for flag, words in WORDS.items():
                help = help.replace(flag, words)
            helps.append(help if help.startswith("batch size") else help.replace(" batch size", " and batch size"))
        return structs.replace(one, help=tuple(helps))
    at = f" at batch {report.batch_size}" if report.batch_size else ""
    text = f"a training step{at} takes {bytes_text(report.peak.bytes)}"
    if report.budget is not None:
        text += f", which fits {bytes_text(report.budget)}: what else the device holds is not counted"
    return Diagnostic("out-of-memory", "error", text, None, tuple(notes(report)))
