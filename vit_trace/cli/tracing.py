"""Runs the trace that a command line asks for; imports torch once everything else is known to be well."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vit_trace.base.trace import Trace
    from vit_trace.targets.request import Request


def run_trace(spec: str | None, model: Request, needs_source: bool = False) -> Trace:
    """The trace of what the command line names, with the model's source lines if they are needed. Raises Refused."""
    if needs_source:
        from vit_trace.record.source.listing import listed

        return listed(lambda: run_trace(spec, model))
    from vit_trace.diagnose.resolve import targeted

    target = targeted(spec, model)
    import_torch()
    from vit_trace.diagnose.diagnose import diagnosed

    if target.foreign is None:
        return diagnosed(target, model.rules, model.formulas)
    from vit_trace.targets.complaints import contained

    with contained():  # somebody else's code runs, and may print
        return diagnosed(target, model.rules, model.formulas)


def import_torch() -> None:
    """Import torch, then turn on the garbage collector, off since the start, without what was made until now.

    Without numpy torch warns at each import; nothing here needs numpy, so the warning is left out.
    """
    import gc
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Failed to initialize NumPy", UserWarning)
        import torch  # noqa: F401

    gc.freeze()
    gc.enable()
