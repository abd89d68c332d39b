"""Turns a MemoryReport into diagnostics, with remedies that were measured. No torch."""

from __future__ import annotations

from vit_trace.base.trace import Diagnostic
from vit_trace.base.words import bytes_text
from vit_trace.memory.report import MemoryReport, Peak, Remedy


def diagnostics(report: MemoryReport) -> tuple[Diagnostic, ...]:
    """An error where the run does not fit its budget."""
    if report.budget is None or report.fits:
        return ()
    over = report.peak.bytes - report.budget
    batch = f" at batch {report.batch_size}" if report.batch_size else ""
    message = (
        f"a training step{batch} takes {bytes_text(report.peak.bytes)}, "
        f"{bytes_text(over)} more than {budget_text(report.budget)}"
    )
    return (Diagnostic("does-not-fit", "error", message, None, tuple(notes(report)), tuple(helps(report))),)


def notes(report: MemoryReport) -> list[str]:
    found = [
        f"the peak is in {'' if report.peak.stage else 'the '}{peak_words(report.peak)}: {parts_text(report.peak)}"
    ]
    if report.budget is not None and report.floor > report.budget:
        held = "parameters, gradients and the optimizer" if report.optimizer_state else "parameters and gradients"
        found.append(f"{held} alone take {bytes_text(report.floor)}: no batch fits")
    found += [f"{one.flag} does not fit either: {bytes_text(one.peak)}" for one in report.remedies if hopeless(one)]
    return found


def hopeless(remedy: Remedy) -> bool:
    return not remedy.fits and not remedy.largest_batch


def helps(report: MemoryReport) -> list[str]:
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


def parts_text(peak: Peak) -> str:
    """parameters 330.3 MiB, activations 9.1 GiB"""
    return ", ".join(f"{name} {bytes_text(size)}" for name, size in peak.parts.items())
