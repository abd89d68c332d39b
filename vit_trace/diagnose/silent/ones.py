"""A parameter with an axis of 1 where the same one of all other blocks is full. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.base.trace import Diagnostic, Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.found import Found
from vit_trace.diagnose.producers import siblings


def broadcast_ones(trace: Trace) -> Iterator[Found]:
    """A parameter with an axis of 1 where the same one of all other blocks is full."""
    parameters = {parameter.name: parameter for parameter in trace.parameters}
    for parameter in trace.parameters:
        for axis, size in enumerate(parameter.shape):
            others = siblings(parameters, parameter.name, axis) if size == 1 else None
            if others is None or len(others.sizes) < 2 or others.common in (None, 1) or len(parameter.shape) > 3:
                continue
            if (
                parameter.name.endswith("weight") and len(parameter.shape) > 1
            ):  # a kernel: it multiplies, not broadcasts
                continue
            message = f"{parameter.name} {shape_text(parameter.shape)} is broadcast on axis {axis}: "
            message += f"{others.blocks} have {others.common} there"
            where = parameter.name.rpartition(".")[0]
            stage = next((stage for stage in trace.stages if stage.module == where), None)
            yield Diagnostic("broadcast-one", "warning", message, stage.source if stage else None), []
