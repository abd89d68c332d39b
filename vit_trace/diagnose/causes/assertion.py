"""The model's own code refused: an assert or raise of its author. The text is the author's; the notes add the numbers
that the line names, and the changes that were tried show which inputs it takes.
"""

import ast
import re
from collections.abc import Iterator
from itertools import islice
from math import isqrt

from vit_trace.base.trace import Operand
from vit_trace.base.words import product_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, Turn, finds
from vit_trace.diagnose.changes.inputs import (
    exchanges,
    first_input,
    images_of,
    usual_channels,
)
from vit_trace.diagnose.changes.records import CallChange, Fix
from vit_trace.diagnose.changes.solved import multiples, square_grids
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.grids import Grid, beside_grid, beside_words, grids_of
from vit_trace.diagnose.scene import Scene, frame_note
from vit_trace.dims.formula import FormulaError, evaluate, parse

PART_OF_IMAGE = re.compile("patch|window|kernel|stride|head|dim|depth")
"""Names of numbers that are not the size of an image."""

LEAVING = ("SystemExit", "KeyboardInterrupt", "GeneratorExit", "CancelledError")
"""Exceptions that end a program or a task, and judge nothing."""

SMALLEST_IMAGE = 16
"""Pixels; smaller numbers are not taken for the size of an image."""


def _named_sizes_of_image(question: Question) -> Iterator[Fix]:
    """Images of the sizes that the check knows: self.img_size = (224, 224)."""
    shape = first_input(question.scene)
    for name, value in question.scene.failure.values.items():
        sizes = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int)]
        if PART_OF_IMAGE.search(name) or not sizes or min(sizes) < SMALLEST_IMAGE:
            continue
        if isinstance(value, list) and len(value) == len(sizes) == 2:
            yield from images_of(question, [(sizes[0], sizes[1])])
        elif type(value) is int and value not in shape:
            yield from images_of(question, [(value, value)])


def _axes_the_check_names(question: Question) -> Iterator[Fix]:
    """Two axes of the input exchanged, where the check knows both sizes."""
    scene = question.scene
    lists = [value for value in scene.failure.values.values() if isinstance(value, list)]
    numbers = set(scene.whole_numbers.values())
    yield from exchanges(scene, lambda one, two: [two, one] in lists or {one, two} <= numbers)


def _beside(scene: Scene) -> Iterator[tuple[Operand, int, Grid]]:
    """(tokens, how many of them are beside a grid, the grid), of tensors that the check knows."""
    for tensor in scene.operands:
        for grid in grids_of(scene.trace) if len(tensor.shape) == 3 else ():
            if more := beside_grid(scene.trace, tensor.shape[1], grid):
                yield tensor, more, grid


def _fewer_tokens(question: Question) -> Iterator[Fix]:
    """x[:, 5:] instead of x[:, 1:]: a slice before the check that left some of the tokens beside the grid."""
    scene = question.scene
    for tensor, more, _ in _beside(scene):
        made = [one for one in scene.trace.stages if one.outputs and one.outputs[0].shape == tensor.shape]
        last = made[-1] if made else None
        found = SLICE.fullmatch(last.source.text) if last is not None and last.source is not None else None
        if last is None or last.source is None or found is None:
            continue
        text = f"{found[1]}[:, {int(found[2]) + more}:] instead of {last.source.text}"
        steps = (("narrow", 1, more, last.inputs[0].shape[1] - more),)
        yield CallChange(text, "__getitem__", last.source, steps=steps, runs=True)


SLICE = re.compile(r"(.+)\[:, (\d+):(?:, :)?\]")
"""A slice of tokens that leaves out the first ones."""

ASSERTION = CauseKind(
    "assertion",
    __doc__,
    usual(sizes=(_named_sizes_of_image, square_grids, multiples, usual_channels), last=(_axes_the_check_names,)),
)


@finds("raise", turn=Turn.LATE, edits=[_fewer_tokens])
def refused_by_its_author(scene: Scene) -> Cause | None:
    """`assert h == self.image_size`. Late, for some of torch's own layers raise, and there more is known."""
    kind, said = scene.raised
    if kind in LEAVING:
        return None
    message = " ".join(said.split()) or _unsaid(scene) or f"{scene.name} raises {kind}"
    beside = (
        f"{tensor.shape[1]} = {product_text(grid)} + {beside_words(scene.trace, more)}"
        for tensor, more, grid in _beside(scene)
    )
    return Cause(ASSERTION, message, (*frame_note(scene), *islice(beside, 1)))


def _unsaid(scene: Scene) -> str:
    """N == M * M does not hold, N is 512 and M * M is 484: what a bare assertion compares; "" where that is unknown."""
    span = scene.failure.span
    try:
        node = ast.parse(span.text.strip(), mode="eval").body if span is not None else None
    except SyntaxError:
        return ""
    if not isinstance(node, ast.Compare) or len(node.comparators) != 1:
        return ""
    sides = [ast.unparse(side) for side in (node.left, node.comparators[0])]
    try:
        numbers = [evaluate(parse(side), scene.whole_numbers) for side in sides]
    except FormulaError:
        return ""
    told = " and ".join(
        f"{side} is {number}" for side, number in zip(sides, numbers, strict=True) if side != str(number)
    )
    root = isqrt(max(numbers[0], 0))
    square = numbers[1] == root**2 != numbers[0] and isinstance(node.ops[0], ast.Eq)
    beside = beside_words(scene.trace, numbers[0] - root**2) if square else ""
    more = "" if beside.isdigit() or not beside else f" = {root}·{root} + {beside}"
    return f"{ast.unparse(node)} does not hold: {told}{f'; {numbers[0]}{more} is no square' if square else ''}"
