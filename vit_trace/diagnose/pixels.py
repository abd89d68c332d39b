"""Finds patch embeddings that leave out the edge of an image, and the images of a trace. Needs no torch."""

from collections.abc import Iterator
from typing import NamedTuple

from vit_trace.base.trace import Stage, TensorSpec, Trace

SMALLEST_PATCH = 2
"""Side of a convolution's kernel, in pixels, below which the kernel is not a patch."""


CONVOLUTIONS = {"Conv1d": 3, "Conv2d": 4, "Conv3d": 5}
"""Axes of the input of each convolution, batch and channels among them."""


class Embedding(NamedTuple):
    """A patch embedding: the sides of its image (of a volume or a series), patch and grid of patches.

    `leading` are batch and channels.
    """

    stage: Stage
    leading: tuple[int, ...]
    image: tuple[int, ...]
    patch: tuple[int, ...]
    grid: tuple[int, ...]


def dropping_embeddings(trace: Trace) -> Iterator[Embedding]:
    """Each convolution that moves in steps of its kernel over an image that is not a multiple of the kernel."""
    weights = {parameter.name: parameter.shape for parameter in trace.parameters}
    shapes = [sorted(spec.shape) for stage in trace.stages if stage.kind == "input" for spec in stage.outputs]
    for stage in trace.stages:
        kernel = weights.get(f"{stage.module}.weight" if stage.module else "weight", ())
        axes = CONVOLUTIONS.get(stage.operation)
        if axes is None or len(kernel) != axes or not stage.inputs or not stage.outputs:
            continue
        given, made, patch = stage.inputs[0].shape, stage.outputs[0].shape, kernel[2:]
        if (
            sorted(given) not in shapes
            or max(patch) < SMALLEST_PATCH
            or {len(made), len(given)} != {axes}
            or 0 in given
        ):
            continue
        found = Embedding(stage, given[:2], given[2:], patch, made[2:])
        whole = tuple(size // side for size, side in zip(found.image, patch, strict=True))
        if whole == found.grid and any(size % side for size, side in zip(found.image, patch, strict=True)):
            yield found


def images(trace: Trace) -> list[TensorSpec]:
    """Inputs of the model that look like a batch of images."""
    given = [spec for stage in trace.stages if stage.kind == "input" for spec in stage.outputs]
    return [spec for spec in given if len(spec.shape) == 4 and 0 not in spec.shape]
