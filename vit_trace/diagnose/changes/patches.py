"""Brings the axes of a patch together where an image is cut by reshape, permute and flatten. No torch.

Patches of an image b×c×H×W are cut by a reshape to b×c×h×p×w×p, a permute to b×h×w×c×p×p and a flatten to
b×(h·w)×(c·p·p): one token for each patch (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", eq. 1).
"""

from collections.abc import Iterator
from math import isqrt, prod
from typing import NamedTuple

from vit_trace.base.trace import Source, Stage
from vit_trace.base.words import product_text, shape_text
from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.changes.records import CallChange, Fix
from vit_trace.diagnose.scene import Scene, Shape

ORDER = (0, 2, 4, 1, 3, 5)
"""From b×c×h×p×w×p to b×h×w×c×p×p."""

RESHAPES, PERMUTES, JOINS = {"reshape", "view"}, {"permute"}, {"flatten", "reshape", "view"}
MOVES = RESHAPES | PERMUTES | JOINS


class _Cut(NamedTuple):
    """The steps that cut the failing layer's input out of an image: one that cuts, one that turns, those that join.

    `patch` is the side of a patch.
    """

    reshape: Stage
    permute: Stage
    joins: tuple[Stage, ...]
    patch: int

    @property
    def image(self) -> Shape:
        return self.reshape.inputs[0].shape

    @property
    def cut(self) -> Shape:
        """b×c×h×p×w×p"""
        batch, channels, height, width = self.image
        return (batch, channels, height // self.patch, self.patch, width // self.patch, self.patch)


def _cut_of(scene: Scene, wanted: int) -> _Cut | None:
    """The steps before the failing layer, where they cut an image and patches would have the wanted size."""
    steps = _steps_before(scene)
    if len(steps) < 3 or steps[0].operation not in RESHAPES or steps[1].operation not in PERMUTES:
        return None
    first, turned, *joins = steps
    image = first.inputs[0].shape
    if len(image) != 4 or not image[1] or any(step.operation not in JOINS for step in joins):
        return None
    patch = isqrt(wanted // image[1])
    fits = patch > 1 and image[1] * patch**2 == wanted and not image[2] % patch and not image[3] % patch
    return _Cut(first, turned, tuple(joins), patch) if fits and len(turned.outputs[0].shape) == 6 else None


def _steps_before(scene: Scene) -> list[Stage]:
    """The steps that only move values and end in the failing layer's input, from the first that takes an image on."""
    found: list[Stage] = []
    given = scene.operands[0].shape
    for step in reversed(scene.trace.stages[: scene.failure.stage or 0]):
        if not step.inputs or not step.outputs or step.outputs[0].shape != given or step.operation not in MOVES:
            break
        found.insert(0, step)
        given = step.inputs[0].shape
        if len(step.outputs[0].shape) == len(ORDER) and len(given) == 4:
            break
    return found


def patches_note(scene: Scene, wanted: int) -> tuple[str, ...]:
    """768 = 3·16·16, channels and sides of a patch; the flatten joins 16·14·16·14."""
    found = _cut_of(scene, wanted)
    if found is None:
        return ()
    channels, side, last = found.image[1], found.patch, found.joins[-1]
    text = f"{wanted} = {product_text((channels, side, side))}: channels and sides of a patch"
    joined = last.inputs[0].shape[len(last.outputs[0].shape) - 1 :]
    if last.operation != "flatten" or last.source is None:
        return (text,)
    return (f"{text}; flatten in line {last.source.line} joins {product_text(joined)} = {prod(joined)}",)


def patches_together(question: Question) -> Iterator[Fix]:
    """The reshape, the permute and the flatten that make one token of each patch."""
    sides = question.cause.sides
    found = _cut_of(question.scene, sides[1].size) if len(sides) == 2 else None
    if found is None:
        return
    first, turned, joined = (step.source for step in (found.reshape, found.permute, found.joins[-1]))
    if first is None or turned is None or joined is None:
        return
    cut, tokens = found.cut, found.cut[2] * found.cut[4]
    further = (
        CallChange("", found.permute.operation, turned, sizes=dict(enumerate(ORDER)), runs=True),
        _joined(found.joins[-1], joined, {1: tokens, 2: sides[1].size}),
    )
    text = f"{found.reshape.operation} to {shape_text(cut)}, then permute{ORDER} and flatten(1, 2).flatten(2): "
    text += f"one token for each of {tokens} patches"
    places = {place: size for place, size in enumerate(cut) if place > 1}
    yield CallChange(text, found.reshape.operation, first, sizes=places, runs=True, others=further)


def _joined(last: Stage, span: Source, sizes: dict[int, int]) -> CallChange:
    """The last step: of the axes b×h×w×c×p×p, two become the tokens and three the features."""
    if last.operation == "flatten":
        return CallChange("", "flatten", span, steps=(("flatten", 1, 2),), runs=True)
    return CallChange("", last.operation, span, sizes=sizes, runs=True)
