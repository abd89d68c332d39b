"""A position embedding that is cut to as many positions as there are patches. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isqrt, prod

from vit_trace.base.trace import Diagnostic, Parameter, Remedy, Stage, Trace
from vit_trace.diagnose.found import Found, images
from vit_trace.diagnose.naming import image_size

EXTRA = range(6)
"""Tokens beside the patches: class token, distillation token, registers."""


def positions_cut(trace: Trace) -> Iterator[Found]:
    """A position embedding is sliced to as many positions as the image has patches: rows of another grid."""
    for stage in trace.stages:
        if stage.operation not in ("getitem", "narrow") or not stage.inputs or not stage.outputs or not stage.source:
            continue
        parameter = positions(trace, stage)
        if parameter is None:
            continue
        cut = used(parameter.shape, stage.outputs[0].shape)
        if cut is None:
            continue
        have, want = cut
        grids = grids_of(trace)
        for extra in EXTRA:
            root = isqrt(max(have - extra, 0))
            grid = next((grid for grid in grids if prod(grid) == want - extra), None)
            if grid is not None and root * root == have - extra and root > 1:
                yield cut_off(trace, stage, parameter, (have, want), (root, grid))
                break


def positions(trace: Trace, stage: Stage) -> Parameter | None:
    """The position embedding that a slice is taken of, by its shape and by its name in the source."""
    text = stage.source.text if stage.source else ""
    for parameter in trace.parameters:
        name = parameter.name.rpartition(".")[2]
        here = parameter.name.startswith(stage.module)
        if "pos" in name and here and re.search(rf"\b{name}\b", text) and parameter.shape == stage.inputs[0].shape:
            return parameter
    return None


def used(whole: tuple[int, ...], part: tuple[int, ...]) -> tuple[int, int] | None:
    """(positions there are, positions taken) where a slice shortens just one axis."""
    if len(whole) != len(part):
        return None
    shorter = [(one, two) for one, two in zip(whole, part, strict=True) if one != two]
    return shorter[0] if len(shorter) == 1 and shorter[0][0] > shorter[0][1] > 1 else None


def grids_of(trace: Trace) -> list[tuple[int, ...]]:
    """Grids of patches of this image: of its formulas, of the feature maps, and of einops patches."""
    found: list[tuple[int, ...]] = []
    if {"h", "w"} <= trace.symbols.keys():
        found.append((trace.symbols["h"].value, trace.symbols["w"].value))
    for image in images(trace):
        for stage in trace.stages:
            made = [spec.shape for spec in stage.outputs if stage.kind in ("module", "function")]
            found += [shape[2:] for shape in made if len(shape) == 4 and shape[2] > 1 and is_grid(image.shape, shape)]
            if stage.pattern and "(h " in stage.pattern and "(w " in stage.pattern and stage.inputs and stage.outputs:
                patches = prod(stage.outputs[0].shape[1:-1])
                found += [
                    (image.shape[2] // side, image.shape[3] // side)
                    for side in range(2, image.shape[2])
                    if (image.shape[2] // side) * (image.shape[3] // side) == patches
                ][:1]
    return list(dict.fromkeys(found))


def is_grid(image: tuple[int, ...], made: tuple[int, ...]) -> bool:
    return made[0] == image[0] and made[2] < image[2] and image[2] * made[3] == image[3] * made[2]


def cut_off(
    trace: Trace, stage: Stage, parameter: Parameter, counts: tuple[int, int], grids: tuple[int, tuple[int, ...]]
) -> Found:
    (have, want), (root, (down, across)) = counts, grids
    message = f"{parameter.name} was made for another grid: {want} of {have} positions are used, "
    message += f"{down}×{across} against {root}×{root}"
    shape = images(trace)[0].shape if images(trace) else ()
    notes = [f"patch (1, 0) of this image gets the position of patch (0, {across}) of the {root}×{root} grid"]
    remedies = []
    if shape:
        name = image_size(trace.symbols)
        size = [shape[2], shape[3]]
        if name in trace.target.hyperparameters:
            words = str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"
            change = f"--{name.replace('_', '-')} {words}" if name == "image_size" else f"--set {name}={words}"
            remedies.append(Remedy(change, "hyperparameter", {name: list(size)}))
        full = [shape[2] // down * root, shape[3] // across * root]
        remedies.append(Remedy(f"an input of {full[0]}×{full[1]}", "input", {"shape": [*shape[:2], *full]}))
    return Diagnostic("positions-cut", "warning", message, stage.source, tuple(notes)), remedies
