"""An image that is not a multiple of the patch: the convolution leaves out its edge. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from vit_trace.base.trace import Diagnostic, Remedy, Stage, Trace
from vit_trace.diagnose.found import Found, images


def pixels_dropped(trace: Trace) -> Iterator[Found]:
    """The patch embedding is a convolution in steps of its kernel, and the image no multiple of it."""
    weights = {parameter.name: parameter.shape for parameter in trace.parameters}
    shapes = {spec.shape for spec in images(trace)}
    for stage in trace.stages:
        kernel = weights.get(f"{stage.module}.weight" if stage.module else "weight", ())
        if stage.operation != "Conv2d" or len(kernel) != 4 or not stage.inputs or not stage.outputs:
            continue
        given, made = stage.inputs[0].shape, stage.outputs[0].shape
        if given not in shapes or min(kernel[2:]) < 4 or len(made) != 4:
            continue
        sides = list(zip(given[2:], made[2:], kernel[2:], strict=True))
        if all(many == size // patch for size, many, patch in sides) and any(size % patch for size, _, patch in sides):
            yield dropped(stage, given, kernel, made)


def dropped(stage: Stage, given: tuple[int, ...], kernel: tuple[int, ...], made: tuple[int, ...]) -> Found:
    lost = [(size % patch, word) for size, patch, word in zip(given[2:], kernel[2:], ("row", "column"), strict=True)]
    text = " and ".join(f"the last {count} {word}{'s' * (count > 1)}" for count, word in lost if count)
    message = f"{stage.name} drops {text} of the {given[2]}×{given[3]} image"
    many = prod(given[2:]) - prod(made[2:]) * prod(kernel[2:])
    terms = zip(given[2:], made[2:], kernel[2:], strict=True)
    sums = dict.fromkeys(f"{size} = {count}·{patch} + {size - count * patch}" for size, count, patch in terms)
    notes = (f"{', '.join(sums)}: {many} of {prod(given[2:])} pixels are never looked at",)
    down, across = (size // patch * patch for size, patch in zip(given[2:], kernel[2:], strict=True))
    remedies = [Remedy(f"an input of {down}×{across}", "input", {"shape": [*given[:2], down, across]})]
    return Diagnostic("pixels-dropped", "warning", message, stage.source, notes), remedies
