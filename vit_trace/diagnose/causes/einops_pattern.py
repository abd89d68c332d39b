"""Recognises an einops pattern that its tensor does not match: number of axes, lengths that do not divide."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from vit_trace.base.trace import Operand
from vit_trace.base.words import product_text, shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Turn, finds
from vit_trace.diagnose.causes.reshape import WINDOW
from vit_trace.diagnose.changes.inputs import grid_sizes, multiples_of_divisor, usual_channels
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.scene import Scene, Side, axes_text, called, side, with_shape

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
    usual(sizes=(grid_sizes, multiples_of_divisor)),
)

EINOPS_LENGTH = CauseKind(
    "einops-length",
    "An einops pattern gives an axis a length that it does not have, or gives one name two lengths.",
    usual(sizes=(grid_sizes, multiples_of_divisor, usual_channels)),
)


@finds(tensors=1, turn=Turn.FIRST)
def pattern_does_not_match(scene: Scene) -> Cause | None:
    """rearrange, reduce, repeat, einsum and their layers, under whatever name they fail: they have a pattern."""
    pattern = scene.argument("pattern") or (scene.stage.pattern if scene.stage else None)
    if not isinstance(pattern, str) or not pattern:
        return None
    if scene.call == "einsum":
        return _name_with_two_lengths(scene, pattern)
    return _left_side_against(scene, pattern) if "->" in pattern else None


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
        if names == ["..."]:
            continue
        group = _PatternAxis(tensor, axis, size, names, dict(lengths))
        found = _group_against(group, pattern)
        if found is not None:
            return found
        if len(group.free) == 1:
            lengths[group.free[0]] = size // group.total
    return None


@dataclass(frozen=True)
class _PatternAxis:
    """One axis of a tensor, with the names that a pattern splits it into and the lengths known so far."""

    tensor: Operand
    axis: int
    size: int
    names: list[str]
    lengths: Mapping[str, int]

    @cached_property
    def free(self) -> list[str]:
        """Names without a length."""
        return [name for name in self.names if name not in self.lengths and not name.isdigit()]

    @cached_property
    def fixed(self) -> list[int]:
        """Lengths that are known."""
        lengths = {name: int(name) for name in self.names if name.isdigit()} | dict(self.lengths)
        return [lengths[name] for name in self.names if name in lengths]

    @property
    def total(self) -> int:
        return prod(self.fixed)

    @property
    def given(self) -> str:
        """p1 = 32, p2 = 32"""
        return ", ".join(f"{name} = {self.lengths[name]}" for name in self.names if name in self.lengths)

    @property
    def whole(self) -> str:
        """(h p1)"""
        return f"({' '.join(self.names)})" if len(self.names) > 1 else "".join(self.names) or "1"

    @property
    def is_window(self) -> bool:
        return any(self.lengths.get(name) and ("win" in name or name == "ws") for name in self.names)

    @property
    def sides(self) -> tuple[Side, ...]:
        there = self.axis < len(self.tensor.shape)
        return (Side(self.tensor, self.axis, self.size, called(self.tensor)),) if there else ()


def _group_against(group: _PatternAxis, pattern: str) -> Cause | None:
    """One axis: the lengths known of its names must divide its size, or be it."""
    tensor = with_shape(group.tensor)
    if not group.free and group.total != group.size:
        total = group.total
        wanted = f"{product_text(group.fixed)} = {total}" if len(group.fixed) > 1 else str(total)
        text = f"axis {group.whole} of {tensor} is {group.size}, the pattern wants {wanted}"
        notes = (f"in {pattern} with {group.given}",) if group.given else (f"in {pattern}",)
        return Cause(EINOPS_LENGTH, text, notes, (*group.sides, Side(None, None, total, group.whole)))
    if group.free and not group.total:
        text = f"{group.given or '0'}: axis {group.whole} of {tensor} has no parts of size 0"
        return Cause(EINOPS_DIVIDE, text, (f"in {pattern}",), group.sides)
    if group.free and group.size % group.total:
        text = f"{group.size} is not a multiple of {group.given or product_text(group.fixed)}: axis {group.whole} of "
        text += f"{tensor} does not divide"
        kind = WINDOW if group.is_window else EINOPS_DIVIDE
        return Cause(kind, text, (f"in {pattern}",), group.sides, divisor=group.total)
    return None


def _name_with_two_lengths(scene: Scene, pattern: str) -> Cause | None:
    """einops.einsum: one name with two lengths."""
    seen: dict[str, Side] = {}
    for term, operand in zip(pattern.split("->")[0].split(","), scene.operands, strict=False):
        names = term.split()
        if "..." in names:
            continue
        if len(names) != len(operand.shape):
            text = f"the pattern {term.strip()} names {axes_text(len(names))}, {called(operand)} is "
            return Cause(EINOPS_RANK, text + shape_text(operand.shape), rank=len(names))
        for axis, name in enumerate(names):
            here = side(operand, axis)
            if name in seen and seen[name].size != here.size:
                text = f"{name} is {seen[name].size} in {seen[name].name} and {here.size} in {here.name}"
                return Cause(EINOPS_LENGTH, text, (f"in {pattern}",), (seen[name], here))
            seen.setdefault(name, here)
    return None
