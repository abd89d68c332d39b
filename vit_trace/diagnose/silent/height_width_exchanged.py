"""Finds tokens that are flattened in rows of w and read back in rows of h: height and width are exchanged."""

from collections.abc import Iterator
from itertools import pairwise
from math import prod

from vit_trace.base.trace import Stage, Trace
from vit_trace.base.words import shape_text
from vit_trace.diagnose.pixels import images
from vit_trace.diagnose.silent import RESHAPES, MakeCase, Mistake, silent_mistake

SCALES = {"interpolate", "Upsample", "upsample", "UpsamplingBilinear2d"}


@silent_mistake("height-width-exchanged")
def height_width_exchanged(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """Height and width change places on the way: tokens that were flattened in rows of w are read in rows of h.
    On square images the shapes stay right; on others the image is scrambled. Found in a small copy with an image that
    is not square.
    """
    measured = case().measured
    for one in (trace, measured.trace) if measured is not None else (trace,):
        stage = next((found for found in _turned_grids(one) if one is trace or _makes_grid(trace, found.name)), None)
        if stage is not None:
            (down, across), made = _grid_made(stage) or (0, 0), stage.outputs[0].shape
            note = f"the grid is {across}×{down}, and becomes a map of {down}×{across}: {shape_text(made)}"
            where = "" if one is trace else "in a small copy: "
            yield Mistake(f"{stage.name} exchanges height and width", stage.source, (where + note,))
            return
    if {"h", "w"} <= trace.symbols.keys() and (stage := _exchanging(trace)) is not None:
        note = f"flattened as h·w, read as w·h: {' × '.join(stage.outputs[0].dims)}"
        yield Mistake(f"{stage.name} exchanges height and width", stage.source, (note,))
    else:
        yield from _turning(case)


def _turned_grids(trace: Trace) -> Iterator[Stage]:
    """Stages that make a map of w rows and h columns of tokens, where all maps before had h rows."""
    if any(image.shape[2] == image.shape[3] for image in images(trace)):
        return
    for stage, pair, maps in _grids_made(trace):
        if pair[::-1] in maps and pair not in maps and pair[0] != pair[1]:
            yield stage


def _makes_grid(trace: Trace, name: str) -> bool:
    """Whether a stage makes a map with the sides of maps before it: sizes of a small copy may be equal by chance."""
    grids = ((pair, maps) for stage, pair, maps in _grids_made(trace) if stage.name == name)
    return any(pair in maps or pair[::-1] in maps for pair, maps in grids)


def _grids_made(trace: Trace) -> Iterator[tuple[Stage, tuple[int, int], set[tuple[int, ...]]]]:
    """Stages that make a map of tokens, with its sides, and those of all maps before."""
    maps: set[tuple[int, ...]] = {image.shape[2:] for image in images(trace)}
    around = {stage.parent for stage in trace.stages}
    for stage in (one for one in trace.stages if one.index not in around):
        if (pair := _grid_made(stage)) is not None:
            yield stage, pair, maps
        for spec in stage.outputs:
            if len(spec.shape) == 4:
                maps |= {spec.shape[1:3], spec.shape[2:]}


def _turning(case: MakeCase) -> Iterator[Mistake]:
    """A map comes out of a small copy with its rows and columns exchanged."""
    from vit_trace.mixing.aligned import turned_map

    measured = case().measured
    event = turned_map(measured) if measured is not None else None
    if measured is not None and event is not None:
        note = "in a small copy: what comes out at row i and column j depends most on the input at row j and column i"
        yield Mistake(f"{measured.stage(event).name} exchanges rows and columns", measured.source(event), (note,))


def _exchanging(trace: Trace) -> Stage | None:
    """The stage that splits an axis h·w into … w, h … by its formulas, where all flattening was of … h, w …"""
    merged = {"n", "h*w"}
    flattened = False
    for stage in trace.stages:
        if stage.operation not in RESHAPES or not stage.inputs or not stage.outputs:
            continue
        before, after = (list(pairwise(spec.dims)) for spec in (stage.inputs[0], stage.outputs[0]))
        if ("h", "w") in before and merged & set(stage.outputs[0].dims):
            flattened = True
        if ("w", "h") in before and merged & set(stage.outputs[0].dims):
            return None
        if flattened and ("w", "h") in after and _splits_only(stage, merged):
            return stage
    return None


def _splits_only(stage: Stage, merged: set[str]) -> bool:
    """Whether w, h took the place of one axis h·w and all other axes stayed."""
    given, made = stage.inputs[0].dims, stage.outputs[0].dims
    place = next(at for at, pair in enumerate(pairwise(made)) if pair == ("w", "h"))
    return any((*made[:place], one, *made[place + 2 :]) == given for one in merged)


def _grid_made(stage: Stage) -> tuple[int, int] | None:
    """(rows, columns) that a stage splits one axis into, all other axes staying, or that it scales a map to."""
    if stage.operation in SCALES and stage.outputs and len(stage.outputs[0].shape) == 4:
        return stage.outputs[0].shape[2], stage.outputs[0].shape[3]
    if stage.operation not in RESHAPES or not stage.inputs or not stage.outputs:
        return None
    given, made = stage.inputs[0].shape, stage.outputs[0].shape
    pairs = [
        pair
        for place, pair in enumerate(pairwise(made))
        if min(pair) > 1 and (*made[:place], prod(pair), *made[place + 2 :]) == given
    ]
    return pairs[-1] if pairs else None
