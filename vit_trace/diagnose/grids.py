"""Tells tokens from maps and from pixels: the grids of patches in a trace, and the tokens beside a grid. No torch."""

from collections.abc import Iterator
from itertools import combinations, pairwise
from math import isqrt, prod
from typing import NamedTuple

from vit_trace.base.trace import Parameter, Stage, Trace
from vit_trace.base.words import product_text, shape_text
from vit_trace.diagnose.pixels import images
from vit_trace.diagnose.scene import Scene
from vit_trace.dims.symbols import ENDING

MOST_BESIDE = 16
"""Tokens beside a grid, such as a class token and registers; more are not explained by a grid."""

CALLED = (("cls", "class token"), ("class", "class token"), ("dist", "distillation token"), ("reg", "register"))
"""A part of a parameter's name, and what its rows are called."""

Grid = tuple[int, int]


def grids_of(trace: Trace) -> list[Grid]:
    """(rows, columns) of each grid of patches: by the formulas, then as the convolutions from the image on made it."""
    symbols = trace.symbols
    named = [(f"h{ending}", f"w{ending}") for ending in ("", ENDING)]
    found = [(symbols[h].value, symbols[w].value) for h, w in named if h in symbols and w in symbols]
    maps = {spec.shape for spec in images(trace)}
    for stage in trace.stages:
        over = bool(stage.inputs) and stage.inputs[0].shape in maps and stage.operation.lower().startswith("conv")
        made = [spec.shape for spec in stage.outputs if over and len(spec.shape) == 4]
        found += [(shape[-2], shape[-1]) for shape in made]
        maps.update(made)
    return list(dict.fromkeys(found))


def beside_words(trace: Trace, count: int) -> str:
    """1 class token, 4 registers: what so many tokens beside a grid are, where parameters of as many rows tell."""
    held = [one for one in trace.parameters if len(one.shape) == 3 and one.shape[0] == 1 and _noun(one)]
    for number in range(1, len(held) + 1):
        for group in combinations(held, number):
            if sum(one.shape[1] for one in group) == count:
                return " + ".join(_rows(one) for one in group)
    return str(count)


def _noun(held: Parameter) -> str:
    name = held.name.rpartition(".")[2].lower()
    return next((noun for part, noun in CALLED if part in name and "pos" not in name), "")


def _rows(held: Parameter) -> str:
    rows = held.shape[1]
    return f"{rows} {_noun(held)}{'s' * (rows != 1)}"


def beside_grid(trace: Trace, tokens: int, grid: Grid) -> int:
    """How many tokens are beside a grid, where they are the grid's and a few more; else 0.

    Tokens that are all of another grid's patches have none beside them.
    """
    more = tokens - prod(grid)
    known = [prod(one) for one in grids_of(trace)]
    return more if 0 < more <= MOST_BESIDE and min(grid) > 1 and tokens not in known else 0


class Swallowed(NamedTuple):
    """A reshape of tokens to a map of their grid: those beside the grid went into the features."""

    stage: Stage
    axis: int
    more: int
    made: int
    said: str


def swallowed(trace: Trace) -> Iterator[Swallowed]:
    """The reshapes that make maps of more features than the tokens had: x.reshape(b, h, w, -1) with the class token."""
    reshapes = [one for one in trace.stages if one.operation in ("reshape", "view") and one.inputs and one.outputs]
    reshapes = [one for one in reshapes if (len(one.inputs[0].shape), len(one.outputs[0].shape)) == (3, 4)]
    grids = grids_of(trace) if reshapes else []
    for stage in reshapes:
        given, made = stage.inputs[0].shape, stage.outputs[0].shape
        for axis, width in ((1, given[2]), (2, given[1])):
            for grid in grids if made[1:3] in grids or made[2:] in grids else ():
                if prod(grid) in given[1:]:
                    continue
                more = beside_grid(trace, given[axis], grid)
                rest = prod(made[1:]) // prod(grid)
                if more and grid in (made[1:3], made[2:]) and rest > width and rest * prod(grid) == width * given[axis]:
                    parts = f"{given[axis]} tokens are {product_text(grid)} + {beside_words(trace, more)}"
                    said = f"{stage.operation} to {shape_text(made)} makes {rest} features of {width}: {parts}"
                    yield Swallowed(stage, axis, more, rest, said)


class Instead(NamedTuple):
    """Sizes with a grid's sides where others stand, these others, and the grid."""

    sizes: tuple[int, ...]
    asked: Grid
    grid: Grid


def pixels_for_patches(scene: Scene, wanted: tuple[int, ...]) -> Iterator[Instead]:
    """The sizes asked for with the grid's sides where the image's sides stand, for each grid."""
    for spec in images(scene.trace):
        image = (spec.shape[-2], spec.shape[-1])
        for at in range(len(wanted)):
            for grid in grids_of(scene.trace):
                if wanted[at : at + 2] == image and grid != image:
                    yield Instead((*wanted[:at], *grid, *wanted[at + 2 :]), image, grid)
                elif wanted[at] == image[0] * image[1] and grid != image:
                    yield Instead((*wanted[:at], grid[0] * grid[1], *wanted[at + 1 :]), image, grid)


def grids_meant(scene: Scene, wanted: tuple[int, ...]) -> Iterator[Instead]:
    """The same where the sides are a grid's rounded down, or the root of its patches."""
    grids = grids_of(scene.trace)
    for at, asked in enumerate(pairwise(wanted)):
        for grid in grids if asked not in grids else ():
            rounded = {0, 1} >= {side - size for side, size in zip(grid, asked, strict=True)}
            if rounded or asked == (isqrt(prod(grid)),) * 2:
                yield Instead((*wanted[:at], *grid, *wanted[at + 2 :]), asked, grid)


def grid_said(asked: Grid, grid: Grid) -> str:
    """The grid is 13×13, not 12×12: strides round up, // rounds down."""
    text = f"the grid is {shape_text(grid)}, {prod(grid)} patches, not {shape_text(asked)}"
    is_root = asked[0] == asked[1] == isqrt(prod(grid)) != min(grid)
    return text if is_root else f"{text}: strides round up, // rounds down"
