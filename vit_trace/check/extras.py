"""Adds to a verdict what else was asked: `check --checkpoint` and `check --memory`. Imports torch late."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.refused import Refused, refuse
from vit_trace.base.trace import Diagnostic
from vit_trace.check.verdict import Verdict
from vit_trace.memory.options import Training, budget_of
from vit_trace.memory.report import diagnostics

if TYPE_CHECKING:
    from vit_trace.check.options import Check
    from vit_trace.check.subject import Examined
    from vit_trace.weights.data import Checkpoint


def memory_question(asked: Check) -> tuple[Training, int] | None:
    """What --memory asks: a training run, and the bytes it has to fit in; None without it. Raises Refused."""
    if asked.memory is None:
        for flag in asked.training.given():
            raise refuse("needs-memory", f"{flag} says how to train: it needs --memory", help=("--memory 24GiB",))
        return None
    return asked.training.training(), budget_of(asked.memory)


def with_memory(verdict: Verdict, subject: Examined, asked: Check) -> Verdict:
    """The verdict with the memory of a training step, where the model runs at all."""
    question = memory_question(asked)
    if question is None or not verdict.started or verdict.parameters is None:
        return verdict
    from vit_trace.memory.judge import memory_report
    from vit_trace.memory.subject import Unmeasured
    from vit_trace.targets.complaints import contained

    try:
        with contained():
            report = memory_report(subject.facts.target, *question)
    except Unmeasured as error:
        message = f"the memory of a training step could not be measured: {error}"
        unknown = Diagnostic("memory-not-known", "warning", message)
        return replace(verdict, diagnostics=(*verdict.diagnostics, unknown))
    except Refused as refused:
        return replace(verdict, diagnostics=(*refused.diagnostics, *verdict.diagnostics), started=False)
    return replace(verdict, memory=report, diagnostics=(*diagnostics(report), *verdict.diagnostics))


def with_fit(verdict: Verdict, subject: Examined, asked: Check) -> Verdict:
    """The verdict with what keeps the checkpoint from being loaded, where the model runs at all."""
    if asked.checkpoint is None or verdict.count("error"):
        return verdict
    from vit_trace.weights.data import NOT_THERE
    from vit_trace.weights.fit import judged

    spans = {one.name: one.span for one in subject.facts.quantities if one.span is not None}
    try:
        found = judged(_checkpoint(asked.checkpoint, asked.key or ""), subject.facts.target, spans)
    except Refused as refused:
        started = not any(one.code in NOT_THERE for one in refused.diagnostics)
        return replace(verdict, diagnostics=(*verdict.diagnostics, *refused.diagnostics), started=started)
    return replace(verdict, diagnostics=(*found.diagnostics, *verdict.diagnostics), remedy=found.remedy)


@lru_cache(maxsize=1)
def _checkpoint(path: Path, key: str) -> Checkpoint:
    """The checkpoint, read once for all specs. Raises Refused."""
    from vit_trace.weights.files import read

    return read(path, key)
