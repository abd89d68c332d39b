"""Finds a parameter with an axis of size 1 where the same parameter of the other blocks has the full size."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.producers import siblings
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake


@silent_mistake("broadcast-one")
def broadcast_one(trace: Trace, _: MakeCase) -> Iterator[Mistake]:
    """An axis of size 1 is broadcast where the same parameter of the other blocks has its full size.
    Example: 1.scale.gamma has 1 element, 0.scale.gamma and 2.scale.gamma have 8.
    It runs, but all features of that block share one value. Give the parameter the size it has in the other blocks.
    """
    parameters = {parameter.name: parameter for parameter in trace.parameters}
    for parameter in trace.parameters:
        is_kernel = parameter.name.endswith("weight") and len(parameter.shape) > 1  # multiplied with, not broadcast
        if len(parameter.shape) > 3 or is_kernel:
            continue
        for axis, size in enumerate(parameter.shape):
            others = siblings(parameters, parameter.name, axis) if size == 1 else None
            if others is None or len(others.sizes) < 2 or others.common in (None, 1):
                continue
            message = f"{parameter.name} {shape_text(parameter.shape)} is broadcast on axis {axis}: "
            message += f"{others.blocks} have {others.common} there"
            module = parameter.name.rpartition(".")[0]
            stage = next((stage for stage in trace.stages if stage.module == module), None)
            yield Mistake(message, stage.source if stage else None)
