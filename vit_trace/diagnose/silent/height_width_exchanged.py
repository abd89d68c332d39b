"""Finds tokens that are flattened in rows of w and read back in rows of h: height and width are exchanged."""

from collections.abc import Iterator
from itertools import pairwise
from math import prod

from vit_trace.base.roles import role_named
from vit_trace.base.trace import Stage, Trace, Value
from vit_trace.diagnose.changes.inputs import built_for
from vit_trace.diagnose.changes.records import InputChange
from vit_trace.diagnose.pixels import images
from vit_trace.diagnose.silent import RESHAPES, MakeCase, Mistake, silent_mistake
from vit_trace.diagnose.trials import Case


@silent_mistake("height-width-exchanged")
def height_width_exchanged(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """Height and width change places on the way: tokens that were flattened in rows of w are read in rows of h.
    On square images the shapes stay right; on others the image is scrambled. Found by tracing with an image that is not
    square.
    """
    square = any(image.shape[2] == image.shape[3] for image in images(trace))
    if {"h", "w"} <= trace.symbols.keys() and (stage := _exchanging(trace)) is not None:
        yield _mistake(stage, f"flattened as h·w, read as w·h: {' × '.join(stage.outputs[0].dims)}")
    elif (stage := _turned_grid(trace)) is not None:
        (down, across), made = _unflattened(stage) or (0, 0), stage.outputs[0].shape
        yield _mistake(stage, f"the grid is {across}×{down}, its tokens become a map of {down}×{across}: {made}")
    elif any(found := list(_turning(case))):
        yield from found
    elif not {"h", "w"} <= trace.symbols.keys() and square and any(map(_unflattened, trace.stages)):
        yield from _on_oblong(trace, case())


def _turned_grid(trace: Trace) -> Stage | None:
    """The first stage that makes a map of w rows and h columns of tokens, where all maps before had h rows."""
    maps = {image.shape[2:] for image in images(trace)}
    if any(down == across for down, across in maps):
        return None
    for stage in trace.stages:
        pair = _unflattened(stage)
        if pair is not None and pair[::-1] in maps and pair not in maps and pair[0] != pair[1]:
            return stage
        for spec in stage.outputs:
            if len(spec.shape) == 4:
                maps |= {spec.shape[1:3], spec.shape[2:]}
    return None


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


def _mistake(stage: Stage, note: str) -> Mistake:
    return Mistake(f"{stage.name} exchanges height and width", stage.source, (note,))


def _unflattened(stage: Stage) -> tuple[int, int] | None:
    """(rows, columns) that a stage splits one axis into, all other axes staying."""
    if stage.operation not in RESHAPES or not stage.inputs or not stage.outputs:
        return None
    given, made = stage.inputs[0].shape, stage.outputs[0].shape
    pairs = [
        pair
        for place, pair in enumerate(pairwise(made))
        if min(pair) > 1 and (*made[:place], prod(pair), *made[place + 2 :]) == given
    ]
    return pairs[-1] if pairs else None


def _on_oblong(trace: Trace, case: Case) -> Iterator[Mistake]:
    """Traces two oblong images as well: a grid g × 2g that comes back as 2g × g, and turns as the image is turned.

    What only looks like a grid, such as as many tokens as images, does not turn.
    """
    for pair in _oblongs(images(trace)[0].shape, case):
        wide, tall = (case.trial(oblong) for oblong in pair)
        if wide is not None and tall is not None and wide.failure is tall.failure is None:
            yield from _turned(wide, tall)
            return


def _oblongs(image: tuple[int, ...], case: Case) -> Iterator[tuple[InputChange, InputChange]]:
    """An image twice as wide and one twice as high; then models built for them."""
    shapes = ((*image[:3], 2 * image[3]), (*image[:2], 2 * image[2], image[3]))
    wide, tall = map(InputChange.sized, shapes)
    yield wide, tall
    wide, tall = (InputChange("", shape=shape, settings=_built_for(shape, case)) for shape in shapes)
    if wide.settings and tall.settings:
        yield wide, tall


def _built_for(shape: tuple[int, ...], case: Case) -> dict[str, Value]:
    """The image size of a model built for such images."""
    return {name: value for name, value in built_for(shape, case).items() if role_named(name) == "image"}


def _turned(wide: Trace, tall: Trace) -> Iterator[Mistake]:
    """The first stage that reads tokens of a wide image in a high grid, and those of a high image in a wide one."""
    grids = {
        spec.shape[2:]
        for stage in wide.stages
        for spec in stage.outputs
        if len(spec.shape) == 4 and spec.shape[3] == 2 * spec.shape[2]
    }
    others = {stage.name: _unflattened(stage) for stage in tall.stages}
    for stage in wide.stages:
        found = _unflattened(stage)
        if found is not None and found[::-1] in grids and others.get(stage.name) == found[::-1]:
            (rows, columns), image = found, wide.stages[0].outputs[0].shape
            note = f"an image of {image[2]}×{image[3]}: a grid of {columns}×{rows} comes back as {rows}×{columns}"
            yield _mistake(stage, note)
            return
