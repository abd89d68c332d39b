"""Finds a position embedding that is cut to the number of patches, though it was made for another grid."""

import re
from collections.abc import Iterator
from math import isqrt, prod
from typing import NamedTuple

from vit_trace.base.trace import Parameter, Stage, Trace
from vit_trace.diagnose.changes.records import Fix, InputChange, SettingChange
from vit_trace.diagnose.naming import image_size
from vit_trace.diagnose.pixels import images
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake

MOST_SIDES = 10_000
"""Sides of a patch that are tried."""

EXTRA = range(6)
"""How many tokens there can be besides the patches: class token, distillation token, registers."""


class _Cut(NamedTuple):
    """A position embedding of `have` positions, made for `side` × `side` patches, cut to `want` for another `grid`."""

    parameter: Parameter
    have: int
    want: int
    side: int
    grid: tuple[int, ...]


@silent_mistake("positions-cut")
def positions_cut(trace: Trace, _: MakeCase) -> Iterator[Mistake]:
    """The image has fewer patches than the position embedding was made for, and only its first positions are used.
    They are taken in rows of the other grid: patch (1, 0) of a 7×7 grid gets the position of (0, 7) of an 8×8 grid.
    Nothing fails, but the result is wrong. Interpolate the embedding to the new grid.
    """
    for stage in trace.stages:
        if stage.operation in ("getitem", "narrow") and stage.inputs and stage.outputs and stage.source:
            cut = _cut_by(trace, stage)
            if cut is not None:
                yield _mistake(trace, stage, cut)


def _cut_by(trace: Trace, stage: Stage) -> _Cut | None:
    """The position embedding that a stage cuts to a smaller grid."""
    parameter = _embedding(trace, stage)
    lengths = _lengths(parameter.shape, stage.outputs[0].shape) if parameter is not None else None
    if parameter is None or lengths is None:
        return None
    have, want = lengths
    grids = _grids(trace)
    for extra in EXTRA:
        side = isqrt(max(have - extra, 0))
        grid = next((grid for grid in grids if prod(grid) == want - extra), None)
        if grid is not None and side * side == have - extra and side > 1:
            return _Cut(parameter, have, want, side, grid)
    return None


def _embedding(trace: Trace, stage: Stage) -> Parameter | None:
    """The position embedding that a stage slices, found by its shape and by its name in the source."""
    text = stage.source.text if stage.source else ""
    for parameter in trace.parameters:
        name = parameter.name.rpartition(".")[2]
        here = parameter.name.startswith(stage.module)
        if "pos" in name and here and re.search(rf"\b{name}\b", text) and parameter.shape == stage.inputs[0].shape:
            return parameter
    return None


def _lengths(whole: tuple[int, ...], part: tuple[int, ...]) -> tuple[int, int] | None:
    """Length of the one axis that a slice shortens, before and after."""
    if len(whole) != len(part):
        return None
    shorter = [(one, two) for one, two in zip(whole, part, strict=True) if one != two]
    return shorter[0] if len(shorter) == 1 and shorter[0][0] > shorter[0][1] > 1 else None


def _grids(trace: Trace) -> list[tuple[int, ...]]:
    """Grids of patches of this image: from its formulas, from feature maps and from einops patterns."""
    found: list[tuple[int, ...]] = []
    if {"h", "w"} <= trace.symbols.keys():
        found.append((trace.symbols["h"].value, trace.symbols["w"].value))
    for batch, _, height, width in (image.shape for image in images(trace)):
        for stage in trace.stages:
            made = (
                spec.shape for spec in stage.outputs if stage.kind in ("module", "function") and len(spec.shape) == 4
            )
            # a map of features is the image in smaller, with the same ratio of its sides
            found += [(h, w) for b, _, h, w in made if b == batch and 1 < h < height and height * w == width * h]
            if stage.pattern and "(h " in stage.pattern and "(w " in stage.pattern and stage.inputs and stage.outputs:
                patches = prod(stage.outputs[0].shape[1:-1])
                grids = [(height // side, width // side) for side in range(2, min(height, MOST_SIDES))]
                found += [grid for grid in grids if prod(grid) == patches][:1]
    return list(dict.fromkeys(found))


def _mistake(trace: Trace, stage: Stage, cut: _Cut) -> Mistake:
    down, across = cut.grid
    grid = f"{cut.side}×{cut.side}"
    message = f"{cut.parameter.name} was made for another grid: {cut.want} of {cut.have} positions are used, "
    message += f"{down}×{across} against {grid}"
    note = f"patch (1, 0) of this image gets the position of patch (0, {across}) of the {grid} grid"
    return Mistake(message, stage.source, (note,), tuple(_remedies(trace, cut)))


def _remedies(trace: Trace, cut: _Cut) -> Iterator[Fix]:
    """The model built for this image; an image of the size that the embedding was made for."""
    shape = next((image.shape for image in images(trace)), None)
    if shape is None:
        return
    name, (height, width) = image_size(trace.symbols), shape[2:]
    if name in trace.target.hyperparameters:
        words = str(height) if height == width else f"{height}x{width}"
        change = f"--{name.replace('_', '-')} {words}" if name == "image_size" else f"--set {name}={words}"
        yield SettingChange(change, settings={name: [height, width]})
    down, across = cut.grid
    full = [height // down * cut.side, width // across * cut.side]
    yield InputChange.sized((*shape[:2], *full), f"an input of {full[0]}×{full[1]}")
