"""`check --memory`: what a training step of a spec takes, added to its verdict. Imports torch late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.refused import refuse
from vit_trace.base.trace import Diagnostic
from vit_trace.check.verdict import Verdict
from vit_trace.memory.options import Training, budget_of, training_of
from vit_trace.memory.verdict import diagnostics

if TYPE_CHECKING:
    from vit_trace.check.options import Check
    from vit_trace.targets.request import Request


def wanted(asked: Check) -> tuple[Training, int] | None:
    """(run, bytes) that the command line asks about; None where it does not. Raises Refused."""
    if asked.memory is None:
        given = {"--optimizer": asked.optimizer, "--precision": asked.precision, "--checkpointing": asked.checkpointing}
        for flag, value in given.items():
            if value:
                raise refuse("needs-memory", f"{flag} says how to train: it needs --memory", help=("--memory 24GiB",))
        return None
    training = training_of(None, asked.optimizer or "adamw", asked.precision or "fp32", asked.checkpointing)
    return training, budget_of(asked.memory)


def weighing(verdict: Verdict, spec: str | None, model: Request, asked: Check) -> Verdict:
    """The verdict with the memory of a training step, where the model runs at all."""
    run = wanted(asked)
    if run is None or verdict.parameters is None:
        return verdict
    from vit_trace.diagnose.resolve import targeted
    from vit_trace.memory.judge import memory_report
    from vit_trace.memory.subject import Unmeasured
    from vit_trace.targets.complaints import contained

    try:
        with contained():
            report = memory_report(targeted(spec, model), *run)
    except Unmeasured as error:
        message = f"what a training step takes could not be worked out: {error}"
        unknown = Diagnostic("memory-not-known", "warning", message, None)
        return replace(verdict, diagnostics=(*verdict.diagnostics, unknown))
    return replace(verdict, memory=report, diagnostics=(*diagnostics(report), *verdict.diagnostics))
