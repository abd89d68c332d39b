"""What the checks have in common: a warning with what might help, and the images of a trace. No torch."""

from __future__ import annotations

from vit_trace.base.trace import Diagnostic, Remedy, TensorSpec, Trace

Found = tuple[Diagnostic, list[Remedy]]

FLATTENING = {"flatten", "reshape", "view", "rearrange", "Rearrange", "unflatten", "Flatten"}


def images(trace: Trace) -> list[TensorSpec]:
    """Inputs of the model that look like a batch of images."""
    given = [spec for stage in trace.stages if stage.kind == "input" for spec in stage.outputs]
    return [spec for spec in given if len(spec.shape) == 4 and 0 not in spec.shape]
