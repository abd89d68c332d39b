"""Attaches to each stage of a trace what it mixes, measured on a small copy of the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from vit_trace.base.trace import Stage, TensorSpec, Trace
from vit_trace.dims.walk import stage_keys
from vit_trace.mixing.coordinates import CONVOLUTIONS
from vit_trace.mixing.measure import Measured
from vit_trace.mixing.words import in_order, words_of

ShapedAxis = tuple[tuple[int, ...], int, bool]
"""The shape of a tensor, one of its axes, and whether that is the channels of a convolution."""


def with_mixes(trace: Trace, measured: Measured) -> Trace:
    """The trace with what each stage mixes: by the axes of its formulas, and what the stages inside it mix."""
    own, theirs = stage_keys(trace.stages), stage_keys(measured.trace.stages)
    table = dict(zip(theirs, measured.trace.stages, strict=True))
    likes: dict[object, tuple[str, ...]] = {}
    mixed = _by_stage(measured)
    found: dict[int, tuple[str, ...]] = {}
    for key, stage in zip(own, trace.stages, strict=True):
        if stage.kind in ("input", "output"):
            continue
        if (small := table.get(key)) is not None:
            found[stage.index] = _words(trace, stage, small, mixed.get(small.index, ()))
            likes.setdefault(_likeness(stage), found[stage.index])
        elif _likeness(stage) in likes:
            found[stage.index] = likes[_likeness(stage)]
    for stage in reversed(trace.stages):
        if stage.parent in found:
            found[stage.parent] = in_order((*found[stage.parent], *found.get(stage.index, ())))
    return replace(trace, stages=tuple(replace(one, mixes=found.get(one.index)) for one in trace.stages))


def _likeness(stage: Stage) -> object:
    """What stages of equal blocks have in common."""
    name = "".join("0" if part.isdigit() else part for part in stage.name.replace("#", ".#").split("."))
    return name, stage.operation, tuple(spec.dims for spec in (*stage.inputs, *stage.outputs))


def _words(trace: Trace, stage: Stage, small: Stage, axes: Sequence[ShapedAxis]) -> tuple[str, ...]:
    found: list[str] = []
    for shape, axis, channels in axes:
        dim = _dim(stage, small, shape, axis)
        found.extend(("channels",) if channels and dim.isdigit() else words_of(dim, trace.symbols))
    return in_order(found)


def _dim(stage: Stage, small: Stage, shape: tuple[int, ...], axis: int) -> str:
    """The formula of an axis of a tensor that was met inside a small stage, by the real stage's own tensors."""
    pairs = [*_pairs(stage.inputs, small.inputs), *_pairs(stage.outputs, small.outputs)]
    for spec, little in pairs:
        if little.shape == shape:
            return spec.dims[axis]
    sizes = {size: dim for spec, little in reversed(pairs) for size, dim in zip(little.shape, spec.dims, strict=True)}
    return sizes.get(shape[axis], str(shape[axis]))


def _pairs(real: Sequence[TensorSpec], small: Sequence[TensorSpec]) -> Iterator[tuple[TensorSpec, TensorSpec]]:
    beside = {spec.path: spec for spec in small}
    for spec in real:
        if (little := beside.get(spec.path)) is not None and len(little.shape) == len(spec.shape):
            yield spec, little


def _by_stage(measured: Measured) -> Mapping[int, Sequence[ShapedAxis]]:
    """The axes that the functions of each stage mix, without those of the stages inside it."""
    found: dict[int, dict[ShapedAxis, None]] = {}
    for event in measured.events:
        layer = event.name in CONVOLUTIONS
        shaped = {(tuple(event.given[at].shape), axis, layer and axis == 1): None for at, axis in event.mixed}
        found[event.step] = found.get(event.step, {}) | shaped
    return {place: tuple(axes) for place, axes in found.items()}
