"""einops patterns against shapes: the number of axes, lengths that do not divide, one name with two lengths."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vit_trace.base.trace import Operand
from vit_trace.base.words import product_text, shape_text
from vit_trace.diagnose.scene import Cause, Scene, Side, axes_text, called, side


def pattern(scene: Scene) -> Cause | None:
    """rearrange, reduce, repeat and their layers: the left side against the tensor."""
    text = scene.argument("pattern") or (scene.stage.pattern if scene.stage else None)
    if not isinstance(text, str) or not text or not scene.operands:
        return None
    if scene.call == "einsum":
        return conflict(scene, text)
    if "->" not in text:
        return None
    tensor = scene.operands[0]
    lengths = {name: value for name, value in scene.failure.arguments.items() if type(value) is int}
    return against(scene, text, tensor, lengths)


def against(scene: Scene, text: str, tensor: Operand, lengths: Mapping[str, int]) -> Cause | None:
    left = [groups(one) for one in re.findall(r"\([^)]*\)|\S+", text.split("->")[0])]
    shape = tensor.shape if len(scene.operands) == 1 else (len(scene.operands), *tensor.shape)
    dots = next((place for place, names in enumerate(left) if names in (["..."], ["…"])), None)
    if dots is not None:
        left[dots : dots + 1] = [["..."]] * max(0, len(shape) - len(left) + 1)
    if len(left) != len(shape):
        message = (
            f"the pattern {text} names {axes_text(len(left))}, {called(tensor)} {shape_text(shape)} has {len(shape)}"
        )
        return Cause("einops-rank", message, rank=len(left))
    known = dict(lengths)
    for axis, (names, size) in enumerate(zip(left, shape, strict=True)):
        found = axis_against(scene, text, tensor, axis, names, size, known)
        if found is not None:
            return found
    return None


def groups(text: str) -> list[str]:
    return text.strip("()").split()


def axis_against(
    scene: Scene, text: str, tensor: Operand, axis: int, names: list[str], size: int, known: dict[str, int]
) -> Cause | None:
    """One axis: what is known of its names must divide it, or be it."""
    if names == ["..."]:
        return None
    fixed: list[int] = [
        known[name] if name in known else int(name) for name in names if name in known or name.isdigit()
    ]
    total = 1
    for length in fixed:
        total *= length
    free = [name for name in names if name not in known and not name.isdigit()]
    whole = f"({' '.join(names)})" if len(names) > 1 else names[0] if names else "1"
    given = ", ".join(f"{name} = {known[name]}" for name in names if name in known)
    here = Side(tensor, axis, size, called(tensor)) if axis < len(tensor.shape) else None
    sides = tuple(filter(None, [here]))
    if not free and total != size:
        message = f"axis {whole} of {called(tensor)} {shape_text(tensor.shape)} is {size}, the pattern wants "
        wanted = f"{product_text(fixed)} = {total}" if len(fixed) > 1 else str(total)
        wants = Side(None, None, total, whole)
        notes = (f"in {text} with {given}",) if given else (f"in {text}",)
        return Cause("einops-length", message + wanted, notes, (*sides, wants))
    if free and not total:
        text = f"{given or '0'}: axis {whole} of {called(tensor)} {shape_text(tensor.shape)} has no parts of size 0"
        return Cause("einops-divide", text, (f"in {scene.argument('pattern')}",), sides)
    if len(free) >= 1 and total and size % total:
        message = f"{size} is not a multiple of {given or product_text(fixed)}: axis {whole} of "
        message += f"{called(tensor)} {shape_text(tensor.shape)} does not divide"
        code = (
            "window" if any("w" in name and known.get(name) for name in names if "win" in name or name == "ws") else ""
        )
        return Cause(code or "einops-divide", message, (f"in {text}",), sides, divisor=total)
    if len(free) == 1:
        known[free[0]] = size // total
    return None


def conflict(scene: Scene, text: str) -> Cause | None:
    """einops.einsum: one name with two lengths."""
    seen: dict[str, Side] = {}
    for term, operand in zip(text.split("->")[0].split(","), scene.operands, strict=False):
        names = term.split()
        if "..." in names:
            continue
        if len(names) != len(operand.shape):
            message = f"the pattern {term.strip()} names {axes_text(len(names))}, {called(operand)} is "
            return Cause("einops-rank", message + shape_text(operand.shape), rank=len(names))
        for axis, name in enumerate(names):
            here = side(operand, axis)
            if name in seen and seen[name].size != here.size:
                message = f"{name} is {seen[name].size} in {seen[name].name} and {here.size} in {here.name}"
                return Cause("einops-length", message, (f"in {text}",), (seen[name], here))
            seen.setdefault(name, here)
    return None
