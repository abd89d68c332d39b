"""Names the sizes of a failed forward by its batch, its image and its patch, where no setting varies. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from vit_trace.base.trace import Symbol, Trace
from vit_trace.dims.name import PROBES_NEEDED, Beside, name_dims

IMAGES = ((3, 160, 224), (5, 224, 352), (7, 288, 160), (4, 352, 288))
"""Batch, height and width of images that formulas are searched at: multiples of most strides."""

AWKWARD = ((3, 193, 255), (5, 255, 257))
"""The same of images that formulas are confirmed at: a pixel more or less, where quotients round up or down."""


BATCHES = (3, 5, 7, 11)
"""Batches that formulas are searched at where the model runs at no other image."""

Run = Callable[[Sequence[int]], Trace | None]
"""The trace of an input of another shape."""


def named_by_image(trace: Trace, run: Run) -> Trace:
    """The trace with formulas over batch, height, width and patches, where its only input is a batch of images.

    Over the batch alone where it runs at no other image; as it is where neither can be changed.
    """
    given = [spec.shape for stage in trace.stages if stage.kind == "input" for spec in stage.outputs]
    if len(given) != 1 or len(given[0]) != 4 or min(given[0]) < 1:
        return trace
    batch, channels, height, width = given[0]
    patch = _patch(trace)

    def traced(images: Sequence[tuple[int, int, int]], names: Sequence[str] = ()) -> list[Trace]:
        found = [(run((count, channels, *sides)), (count, *sides)) for count, *sides in images]
        whole = [(one, sizes) for one, sizes in found if one is not None and (trace.failure or not one.failure)]
        return [replace(one, symbols=_only(names, _symbols(patch, *sizes))) for one, sizes in whole]

    names: tuple[str, ...] = ()
    if len(probes := traced(IMAGES)) >= PROBES_NEEDED:
        checks = traced(AWKWARD)
    elif (
        trace.failure is None
        and len(probes := traced([(one, height, width) for one in BATCHES], ("b",))) >= PROBES_NEEDED
    ):
        names, checks = ("b",), []
    else:
        return trace
    symbols = _only(names, _symbols(patch, batch, height, width))
    return name_dims(replace(trace, symbols=symbols), probes, beside=Beside(checks=checks, unseen=True))


def _only(names: Sequence[str], symbols: dict[str, Symbol]) -> dict[str, Symbol]:
    """The symbols of these names; all without any."""
    return {name: symbol for name, symbol in symbols.items() if not names or name in names}


def _patch(trace: Trace) -> tuple[int, int] | None:
    """The sides of the patches that the first convolution cuts an image into; None where it does something else."""
    kernels = {parameter.name: parameter.shape[2:] for parameter in trace.parameters if len(parameter.shape) == 4}
    stage = next((stage for stage in trace.stages if stage.operation == "Conv2d"), None)
    kernel = kernels.get(f"{stage.module}.weight".removeprefix(".")) if stage is not None else None
    if stage is None or kernel is None or not stage.outputs or min(kernel) < 2:
        return None
    given, made = stage.inputs[0].shape[-2:], stage.outputs[0].shape[-2:]
    whole = tuple(size // side for size, side in zip(given, kernel, strict=True)) == made
    return (kernel[0], kernel[1]) if whole else None


def _symbols(patch: tuple[int, int] | None, batch: int, height: int, width: int) -> dict[str, Symbol]:
    found = {"b": Symbol(batch, "batch size"), "H": Symbol(height, "image height"), "W": Symbol(width, "image width")}
    if patch is None:
        return found
    rows, columns = height // patch[0], width // patch[1]
    found |= {f"p{axis}": Symbol(side, "patch side") for axis, side in enumerate(patch, 1)}
    found["h"] = Symbol(rows, "patch rows", f"H//{patch[0]}")
    found["w"] = Symbol(columns, "patch columns", f"W//{patch[1]}")
    return found | {"n": Symbol(rows * columns, "patches", "h*w")}
