"""Silent mistakes: a forward that runs and is wrong all the same. Warnings of an ordinary trace; no torch.

Each check is meant to stay silent on a sound model: it speaks only where sizes leave no other reading.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import isqrt, prod

from vit_trace.checks.naming import image_size
from vit_trace.checks.producers import siblings
from vit_trace.checks.scene import shape_text
from vit_trace.checks.trials import Case
from vit_trace.tracing.schema import Diagnostic, Parameter, Remedy, Stage, TensorSpec, Trace

EXTRA = range(6)
"""Tokens beside the patches: class token, distillation token, registers."""

FLATTENING = {"flatten", "reshape", "view", "rearrange", "Rearrange", "unflatten", "Flatten"}


def silent(trace: Trace, case: Callable[[], Case]) -> tuple[Diagnostic, ...]:
    """What is wrong with a trace that ran; `case` is asked for only where something has to be tried."""
    found = [*pixels_dropped(trace), *positions_cut(trace), *broadcast_ones(trace), *exchanged(trace, case)]
    return tuple(with_remedies(one, remedies, case) for one, remedies in found)


Found = tuple[Diagnostic, list[Remedy]]


def with_remedies(diagnostic: Diagnostic, remedies: list[Remedy], case: Callable[[], Case]) -> Diagnostic:
    """The warning with those of its remedies that were tried and run."""
    if not remedies:
        return diagnostic
    trials = case()
    trials.start()
    worked = [one for remedy in remedies if (one := trials.attempt(remedy)) is not None]
    help = tuple(f"{one.change} (tried: runs, output {one.output})" for one in worked[:2])
    return Diagnostic(diagnostic.code, "warning", diagnostic.message, diagnostic.span, diagnostic.notes, help)


def images(trace: Trace) -> list[TensorSpec]:
    """Inputs of the model that look like a batch of images."""
    given = [spec for stage in trace.stages if stage.kind == "input" for spec in stage.outputs]
    return [spec for spec in given if len(spec.shape) == 4 and 0 not in spec.shape]


# -- pixels --------------------------------------------------------------------------------------------------------


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


# -- positions -----------------------------------------------------------------------------------------------------


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


# -- size 1 --------------------------------------------------------------------------------------------------------


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


# -- height and width ----------------------------------------------------------------------------------------------


def exchanged(trace: Trace, case: Callable[[], Case]) -> Iterator[Found]:
    """Tokens laid out in rows of w, read back as rows of h."""
    if {"h", "w"} <= trace.symbols.keys():
        stage = swapped_by_name(trace)
        if stage is not None:
            yield swap(stage, f"flattened as h·w, read as w·h: {' × '.join(stage.outputs[0].dims)}"), []
        return
    if any(square_again(trace, shape.shape) for shape in images(trace)):
        yield from on_oblong(trace, case)


def swapped_by_name(trace: Trace) -> Stage | None:
    """The stage that gives … w, h … of an axis h·w, where all flattening was of … h, w …"""
    merged = {"n", "h*w"}
    order = False
    for stage in trace.stages:
        if stage.operation not in FLATTENING or not stage.inputs or not stage.outputs:
            continue
        before, after = (list(pairwise(spec.dims)) for spec in (stage.inputs[0], stage.outputs[0]))
        if ("h", "w") in before and merged & set(stage.outputs[0].dims):
            order = True
        if ("w", "h") in before and merged & set(stage.outputs[0].dims):
            return None
        if order and ("w", "h") in after and just_unflattened(stage, merged):
            return stage
    return None


def just_unflattened(stage: Stage, merged: set[str]) -> bool:
    """Whether w, h took the place of one axis h·w and all other axes stayed."""
    given, made = stage.inputs[0].dims, stage.outputs[0].dims
    place = next(at for at, pair in enumerate(pairwise(made)) if pair == ("w", "h"))
    return any((*made[:place], one, *made[place + 2 :]) == given for one in merged)


def swap(stage: Stage, note: str) -> Diagnostic:
    message = f"{stage.name} exchanges height and width"
    return Diagnostic("height-width-exchanged", "warning", message, stage.source, (note,))


def square_again(trace: Trace, image: tuple[int, ...]) -> bool:
    """Whether a grid is flattened and unflattened: then a square image may hide an exchange."""
    return image[2] == image[3] and any(unflattened(stage) is not None for stage in trace.stages)


def unflattened(stage: Stage) -> tuple[int, int] | None:
    """(rows, columns) that a stage takes one axis apart into, all others staying."""
    if stage.operation not in FLATTENING or not stage.inputs or not stage.outputs:
        return None
    given, made = stage.inputs[0].shape, stage.outputs[0].shape
    pairs = [
        pair
        for place, pair in enumerate(pairwise(made))
        if min(pair) > 1 and (*made[:place], prod(pair), *made[place + 2 :]) == given
    ]
    return pairs[-1] if pairs else None


def on_oblong(trace: Trace, case: Callable[[], Case]) -> Iterator[Found]:
    """The forward once more on an image twice as wide: a grid g × 2g that comes back as 2g × g."""
    image = images(trace)[0].shape
    trials = case()
    trials.start()
    wide = [*image[:3], 2 * image[3]]
    again = trials.trial(Remedy("", "input", {"shape": list(wide)}))
    if again is None:
        return
    grids = {
        spec.shape[2:]
        for stage in again.stages
        for spec in stage.outputs
        if len(spec.shape) == 4 and spec.shape[3] == 2 * spec.shape[2]
    }
    for stage in again.stages:
        found = unflattened(stage)
        if found is not None and found[0] == 2 * found[1] and found[::-1] in grids and found not in grids:
            note = (
                f"an image of {wide[2]}×{wide[3]}: a grid of {found[1]}×{found[0]} comes back as {found[0]}×{found[1]}"
            )
            yield swap(stage, note), []
            return
