"""Recognises an einops pattern that its tensor does not match: number of axes, lengths that do not divide."""

import re
from collections.abc import Iterator
from dataclasses import replace
from math import prod

from vit_trace.base.words import product_text, shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, Turn, finds
from vit_trace.diagnose.causes.matmul import names_with_two_sizes
from vit_trace.diagnose.causes.reshape import WINDOW
from vit_trace.diagnose.changes.calls import call_changed, turned
from vit_trace.diagnose.changes.inputs import usual_channels
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.changes.solved import multiples
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.grids import MOST_BESIDE, beside_grid, beside_words, grid_said, grids_meant, grids_of
from vit_trace.diagnose.scene import Scene, Side, axes_text, called, with_shape

EINOPS_RANK = CauseKind(
    "einops-rank",
    """An einops pattern names a different number of axes than the tensor has.
    Example: b c h w for a tensor 3×224×224: the batch axis is missing.
    """,
)

EINOPS_DIVIDE = CauseKind(
    "einops-divide",
    """An axis that an einops pattern splits is not a multiple of the lengths given for its parts.
    Example: (h p1) of size 250 with p1 = 32. The image has to be a multiple of the patch, the width one of the heads.
    """,
    usual(sizes=(multiples,)),
)

EINOPS_LENGTH = CauseKind(
    "einops-length",
    "An einops pattern gives an axis a length that it does not have, or gives one name two lengths.",
    usual(sizes=(multiples, usual_channels)),
)


def _without_those_beside(question: Question) -> Iterator[Fix]:
    """x[:, 1:]: the tokens of the grid alone, where the pattern wants no more."""
    scene, cause, sides = question.scene, question.cause, question.cause.sides
    if cause.kind not in (EINOPS_LENGTH, EINOPS_DIVIDE) or not sides or sides[0].axis is None:
        return
    size = sides[0].size
    if cause.divisor is not None:
        more = size % cause.divisor
        fits = not beside_words(scene.trace, more).isdigit()
    else:
        more = size - sides[1].size if len(sides) == 2 else 0
        fits = size not in [prod(grid) for grid in grids_of(scene.trace)]
    if 0 < more <= MOST_BESIDE and fits:
        yield from turned(scene, 0, ("narrow", sides[0].axis, more, size - more))


def _grid_named(question: Question) -> Iterator[Fix]:
    """h=8, w=16: the grid there is, where the pattern is given another."""
    scene, pattern = question.scene, _pattern_of(question.scene)
    lengths = {name: value for name, value in scene.failure.arguments.items() if type(value) is int}
    for names in re.findall(r"\(([^)]*)\)", pattern.split("->")[0]):
        pair = [name for name in names.split() if name in lengths]
        asked = tuple(lengths[name] for name in pair)
        for one in grids_meant(scene, asked) if len(pair) == len(names.split()) == 2 else ():
            given = dict(zip(pair, one.grid, strict=True))
            text = ", ".join(f"{name}={size}" for name, size in given.items())
            yield from call_changed(scene, f"{text} in the pattern: the grid of this input", given)


def _axis_in_front(question: Question) -> Iterator[Fix]:
    """A tensor of the model's own, such as latents, without the axis of the batch that the pattern names."""
    scene, cause = question.scene, question.cause
    if cause.kind is EINOPS_RANK and len(scene.operands) == 1 and cause.rank == len(scene.operands[0].shape) + 1:
        yield from turned(scene, 0, ("unsqueeze", 0))


@finds(tensors=1, turn=Turn.FIRST, edits=[_without_those_beside, _grid_named, _axis_in_front])
def pattern_does_not_match(scene: Scene) -> Cause | None:
    """rearrange, reduce, repeat, einsum and their layers, under whatever name they fail: they have a pattern."""
    pattern = _pattern_of(scene)
    if not pattern:
        return None
    if scene.call == "einsum":
        return _name_with_two_lengths(scene, pattern)
    return _left_side_against(scene, pattern) if "->" in pattern else None


def _pattern_of(scene: Scene) -> str:
    pattern = scene.argument("pattern") or (scene.stage.pattern if scene.stage else None)
    return pattern if isinstance(pattern, str) else ""


def _left_side_against(scene: Scene, pattern: str) -> Cause | None:
    """The left side of a pattern against its tensor, or its list of tensors."""
    tensor = scene.operands[0]
    left = [one.strip("()").split() for one in re.findall(r"\([^)]*\)|\S+", pattern.split("->")[0])]
    shape = tensor.shape if len(scene.operands) == 1 else (len(scene.operands), *tensor.shape)
    dots = next((place for place, names in enumerate(left) if names in (["..."], ["…"])), None)
    if dots is not None:
        left[dots : dots + 1] = [["..."]] * max(0, len(shape) - len(left) + 1)
    if len(left) != len(shape):
        text = f"the pattern {pattern} names {axes_text(len(left))}, {called(tensor)} {shape_text(shape)} has "
        return Cause(EINOPS_RANK, text + str(len(shape)), rank=len(left))
    lengths = {name: value for name, value in scene.failure.arguments.items() if type(value) is int}
    for axis, (names, size) in enumerate(zip(left, shape, strict=True)):
        whole = Side(tensor, axis, size, called(tensor))
        if names != ["..."] and (found := _axis_against(scene, whole, names, lengths)):
            return replace(found, notes=(f"in {pattern}{''.join(found.notes)}",))
    return None


def _axis_against(scene: Scene, whole: Side, names: list[str], lengths: dict[str, int]) -> Cause | None:
    """One axis: the lengths known of its names must divide its size, or be it. Adds the only other length."""
    tensor = scene.operands[0]
    fixed = [int(name) if name.isdigit() else lengths[name] for name in names if name.isdigit() or name in lengths]
    free = [name for name in names if name not in lengths and not name.isdigit()]
    given, total = ", ".join(f"{name} = {lengths[name]}" for name in names if name in lengths), prod(fixed)
    axis = f"({' '.join(names)})" if len(names) > 1 else "".join(names) or "1"
    sides = (whole,) if whole.axis in range(len(tensor.shape)) else ()
    if not free and total != whole.size:
        wanted = f"{product_text(fixed)} = {total}" if len(fixed) > 1 else str(total)
        text = f"axis {axis} of {with_shape(tensor)} is {whole.size}, the pattern wants {wanted}"
        notes = (f" with {given}",) if given else ()
        if len(fixed) == 2 and (more := beside_grid(scene.trace, whole.size, (fixed[0], fixed[1]))):
            notes = (*notes, f"; {whole.size} = {product_text(fixed)} + {beside_words(scene.trace, more)}")
        for one in grids_meant(scene, tuple(fixed)):
            notes = (*notes, f"; {grid_said(one.asked, one.grid)}") if prod(one.grid) == whole.size else notes
        return Cause(EINOPS_LENGTH, text, notes, (*sides, Side(None, None, total, axis)))
    if free and not total:
        text = f"{given or '0'}: axis {axis} of {with_shape(tensor)} has no parts of size 0"
        return Cause(EINOPS_DIVIDE, text, sides=sides)
    if free and whole.size % total:
        text = f"{whole.size} is not a multiple of {given or product_text(fixed)}: axis {axis} of {with_shape(tensor)} "
        beside = beside_words(scene.trace, whole.size % total)
        notes = () if beside.isdigit() else (f"; {whole.size} = {whole.size // total * total} + {beside}",)
        window = any(lengths.get(name) and ("win" in name or name == "ws") for name in names)
        return Cause(WINDOW if window else EINOPS_DIVIDE, f"{text}does not divide", notes, sides, divisor=total)
    if len(free) == 1:
        lengths[free[0]] = whole.size // total
    return None


def _name_with_two_lengths(scene: Scene, pattern: str) -> Cause | None:
    """einops.einsum: one name with two lengths."""
    names = (term.split() for term in pattern.split("->")[0].split(","))
    terms = [pair for pair in zip(names, scene.operands, strict=False) if "..." not in pair[0]]
    for term, operand in terms:
        if len(term) != len(operand.shape):
            text = f"the pattern {' '.join(term)} names {axes_text(len(term))}, {called(operand)} is "
            return Cause(EINOPS_RANK, text + shape_text(operand.shape), rank=len(term))
    for name, one, two in names_with_two_sizes(terms):
        text = f"{name} is {one.size} in {one.name} and {two.size} in {two.name}"
        return Cause(EINOPS_LENGTH, text, (f"in {pattern}",), (one, two))
    return None
