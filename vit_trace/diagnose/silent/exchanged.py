"""Tokens laid out in rows of w and read back as rows of h: height and width are exchanged. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import prod

from vit_trace.base.trace import Diagnostic, Remedy, Stage, Trace
from vit_trace.diagnose.changes.inputs import CHANNELS, built_for
from vit_trace.diagnose.found import FLATTENING, Found, images
from vit_trace.diagnose.trials import Case


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
    """The forward once more on an oblong image: a grid g × 2g that comes back as 2g × g."""
    image = images(trace)[0].shape
    trials = case()
    trials.start()
    for oblong in oblongs(image, trials):
        again = trials.trial(oblong)
        if again is not None and again.failure is None:
            yield from turned_round(again, again.stages[0].outputs[0].shape)
            return


def oblongs(image: tuple[int, ...], case: Case) -> Iterator[Remedy]:
    """An image twice as wide, twice as high; a model built for one, where it takes none but what it was built for."""
    wide, tall = [*image[:3], 2 * image[3]], [*image[:2], 2 * image[2], image[3]]
    for shape in (wide, tall):
        yield Remedy("", "input", {"shape": shape})
    built = built_for(tuple(wide), case)
    built.pop(next((name for name in built if name in CHANNELS), ""), None)
    if built:
        yield Remedy("", "input", {"shape": wide, "hyperparameters": built})


def turned_round(again: Trace, image: tuple[int, ...]) -> Iterator[Found]:
    """The stage of a forward on an oblong image that takes tokens apart into a grid the other way round."""
    wide = image[3] > image[2]
    grids = {
        spec.shape[2:]
        for stage in again.stages
        for spec in stage.outputs
        if len(spec.shape) == 4 and spec.shape[2 + wide] == 2 * spec.shape[3 - wide]
    }
    for stage in again.stages:
        found = unflattened(stage)
        if found is not None and found[::-1] in grids and found not in grids:
            note = f"an image of {image[2]}×{image[3]}: a grid of {found[1]}×{found[0]} comes back as "
            yield swap(stage, f"{note}{found[0]}×{found[1]}"), []
            return
