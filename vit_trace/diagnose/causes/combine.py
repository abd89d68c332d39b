"""Tensors that do not fit together: broadcasting, matrix products, attention, concatenation."""

from __future__ import annotations

import re
from collections import Counter

from vit_trace.base.trace import Operand
from vit_trace.base.words import shape_text
from vit_trace.diagnose.scene import Cause, Scene, Side, axes_text, called, side

PRODUCTS = {"matmul", "mm", "bmm", "addmm", "baddbmm", "addbmm", "mv", "dot"}
BIASED = {"addmm", "baddbmm", "addbmm"}
ELEMENTWISE = {"add", "sub", "subtract", "mul", "multiply", "div", "divide", "truediv", "true_divide", "floordiv"}
ELEMENTWISE |= {"pow", "floor_divide", "mod", "remainder", "fmod", "rsub", "where", "masked_fill", "maximum", "minimum"}
ELEMENTWISE |= {"lerp", "addcmul", "addcdiv", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "logical_and"}
ELEMENTWISE |= {"logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "atan2", "hypot", "copy"}
ELEMENTWISE |= {"clamp", "clip", "max", "min", "mse_loss", "l1_loss", "smooth_l1_loss", "heaviside", "xlogy", "isclose"}
"""Functions whose tensors are broadcast to one another."""

JOINS = {"cat", "concat", "concatenate", "hstack", "vstack", "stack", "dstack", "column_stack"}


def broadcasting(scene: Scene) -> Cause | None:
    """The first axis from the right on which two operands have different sizes, neither of them 1."""
    shaped = [operand for operand in scene.operands if operand.shape]
    if scene.stage is None or scene.stage.kind != "function" or scene.call not in ELEMENTWISE:
        return None
    for place, second in enumerate(shaped):
        for first in shaped[:place]:
            axes = clash(first, second)
            if axes is not None:
                names = [handed(scene, operand) for operand in (first, second)]
                one, two = side(first, axes[0], names[0]), side(second, axes[1], names[1])
                return Cause("broadcast", difference(scene, one, two), sides=(one, two))
    return in_place(scene)


def handed(scene: Scene, operand: Operand) -> str:
    """What an operand is called, or on which side of a + it stands where its expression is too long to repeat."""
    name = called(operand)
    if name != "the tensor" or len(scene.operands) != 2:
        return name
    return "the left side" if operand is scene.operands[0] else "the right side"


def in_place(scene: Scene) -> Cause | None:
    """`x += y` where y has more axes or more of them: x cannot grow."""
    first, second = scene.tensor(0), scene.tensor(1)
    works_in_place = scene.failure.call.startswith("__i") or re.search(r"[^_]_$", scene.failure.call)
    if first is None or second is None or not works_in_place:
        return None
    extra = len(second.shape) - len(first.shape)
    wider = [axis for axis, size in enumerate(first.shape) if size == 1 and second.shape[axis + max(extra, 0)] != 1]
    if extra <= 0 and not wider:
        return None
    text = f"{called(first)} {shape_text(first.shape)} cannot grow in place to take {called(second)} "
    sides = (side(first, wider[0]), side(second, wider[0] + max(extra, 0))) if wider else ()
    return Cause("broadcast", text + shape_text(second.shape), sides=sides)


def clash(first: Operand, second: Operand) -> tuple[int, int] | None:
    """(axis, axis), counted from the end, on which two shapes do not broadcast."""
    for back in range(1, min(len(first.shape), len(second.shape)) + 1):
        one, two = first.shape[-back], second.shape[-back]
        if one != two and 1 not in (one, two):
            return -back, -back
    return None


def difference(scene: Scene, one: Side, two: Side) -> str:
    """x has 82 tokens, pos_embedding has 65"""
    noun = tokens(one) or tokens(two)
    if noun:
        return f"{one.name} has {one.size} {noun}, {two.name} has {two.size}"
    return f"{one.name} has {one.size}, {two.name} has {two.size}{common_axis(one, two)}"


def common_axis(one: Side, two: Side) -> str:
    """ "on axis 1", or counted from the end where the two have different numbers of axes."""
    if one.axis == two.axis:
        return f" on axis {one.axis}"
    if one.operand is None or two.operand is None or one.axis is None or two.axis is None:
        return ""
    back = len(one.operand.shape) - one.axis
    if back != len(two.operand.shape) - two.axis:
        return ""
    return " on the last axis" if back == 1 else f" on axis -{back}"


def tokens(side: Side) -> str:
    """ "tokens" for an axis whose formula counts patches."""
    operand, axis = side.operand, side.axis
    if operand is None or axis is None or axis >= len(operand.dims):
        return ""
    words = operand.dims[axis].replace("*", " ").replace("+", " ").replace("-", " ").split()
    counts = {"n", "n_model"} & set(words) or {"h", "w"} <= set(words) or {"h_model", "w_model"} <= set(words)
    return "tokens" if counts else ""


def matrix_product(scene: Scene) -> Cause | None:
    """a @ b: a's last size against b's last but one, then the axes in front."""
    if scene.call not in PRODUCTS:
        return None
    skip = 1 if scene.call in BIASED else 0
    first, second = scene.tensor(skip), scene.tensor(skip + 1)
    if first is None or second is None:
        return None
    if scene.call in ("mm", "bmm", "addmm", "baddbmm", "addbmm"):
        wanted = 2 if scene.call.endswith("mm") and "b" not in scene.call.replace("addmm", "") else 3
        wrong = next((one for one in (first, second) if len(one.shape) != wanted), None)
        if wrong is not None:
            text = f"{scene.call} takes tensors of {axes_text(wanted)}; {called(wrong)} is {shape_text(wrong.shape)}"
            return Cause("wrong-rank", text, rank=wanted)
    if not first.shape or not second.shape:
        return Cause("wrong-rank", f"{scene.call} of a tensor without axes")
    inner = -2 if len(second.shape) > 1 else -1
    if first.shape[-1] != second.shape[inner]:
        one, two = side(first, -1), side(second, inner)
        text = f"{scene.call} of {shape_text(first.shape)} and {shape_text(second.shape)}: {one.size} is not {two.size}"
        return Cause("matmul", text, sides=(one, two))
    for back in range(3, min(len(first.shape), len(second.shape)) + 1):
        sizes = {first.shape[-back], second.shape[-back]}
        if len(sizes) == 2 and (1 not in sizes or scene.call == "bmm"):
            one, two = side(first, -back), side(second, -back)
            text = f"{scene.call}: {one.name} has {one.size} matrices on axis {one.axis}, {two.name} has {two.size}"
            return Cause("matmul", text, sides=(one, two))
    return None


def einsum(scene: Scene) -> Cause | None:
    """torch.einsum: one letter with two sizes, or a term with another number of letters than its tensor has axes."""
    equation = scene.argument("[0]", "equation")
    if scene.call != "einsum" or not isinstance(equation, str):
        return None
    seen: dict[str, tuple[Operand, int]] = {}
    for term, operand in zip(equation.replace(" ", "").split("->")[0].split(","), scene.operands, strict=False):
        if "." in term:
            continue
        if len(term) != len(operand.shape):
            text = f"einsum names {axes_text(len(term))} ({term}) of {called(operand)}, which is "
            return Cause("wrong-rank", text + shape_text(operand.shape), rank=len(term))
        for axis, letter in enumerate(term):
            if letter in seen and operand.shape[axis] != seen[letter][0].shape[seen[letter][1]]:
                one, two = side(*seen[letter]), side(operand, axis)
                if 1 in (one.size, two.size):
                    continue
                text = f"einsum {equation}: {letter} is {one.size} in {one.name} and {two.size} in {two.name}"
                return Cause("matmul", text, sides=(one, two))
            seen.setdefault(letter, (operand, axis))
    return None


def attention(scene: Scene) -> Cause | None:
    """scaled_dot_product_attention: q and k share a width, k and v a length, all three their leading axes."""
    if scene.call != "scaled_dot_product_attention" or len(scene.operands) < 3:
        return None
    q, k, v = scene.operands[:3]
    if min(len(q.shape), len(k.shape), len(v.shape)) < 2:
        return Cause("wrong-rank", f"attention needs 2 axes or more; q is {shape_text(q.shape)}")
    names = [called(one) for one in (q, k, v)]
    names = names if len(set(names)) == 3 else ["query", "key", "value"]
    shapes = ", ".join(f"{name} {shape_text(one.shape)}" for name, one in zip(names, (q, k, v), strict=True))
    for first, second, axis, word in ((q, k, -1, "width"), (k, v, -2, "length")):
        if first.shape[axis] != second.shape[axis]:
            one, two = side(first, axis), side(second, axis)
            text = f"attention: {one.name} has {word} {one.size}, {two.name} has {two.size}"
            return Cause("matmul", text, (f"of {shapes}",), sides=(one, two))
    for first, second in ((q, k), (k, v)):
        for back in range(3, min(len(first.shape), len(second.shape)) + 1):
            if first.shape[-back] != second.shape[-back] and 1 not in (first.shape[-back], second.shape[-back]):
                one, two = side(first, -back), side(second, -back)
                text = f"attention: {difference(scene, one, two)}"
                return Cause("broadcast", text, (f"of {shapes}",), sides=(one, two))
    mask = scene.tensor(3)
    if mask is None:
        return None
    wanted = (q.shape[-2], k.shape[-2])
    for back, size, operand in ((1, wanted[1], k), (2, wanted[0], q)):
        if len(mask.shape) >= back and mask.shape[-back] not in (1, size):
            one, two = side(mask, -back), side(operand, -2)
            return Cause("broadcast", f"attention mask {difference(scene, one, two)}", sides=(one, two))
    return None


def concatenation(scene: Scene) -> Cause | None:
    """cat and stack: all axes but the joined one must agree."""
    if scene.call not in JOINS or len(scene.operands) < 2:
        return None
    shapes = [operand.shape for operand in scene.operands if operand.shape != (0,)]  # cat takes an empty one anywhere
    if not shapes:
        return None
    common = Counter(map(len, shapes)).most_common(1)[0][0]
    code = "stack" if scene.call == "stack" else "cat"
    odd = next((operand for operand in scene.operands if len(operand.shape) != common), None)
    if odd is not None:
        other = next(operand for operand in scene.operands if len(operand.shape) == common)
        text = f"{scene.call}: {called(odd)} {shape_text(odd.shape)} has {axes_text(len(odd.shape))}, "
        return Cause(code, f"{text}{called(other)} {shape_text(other.shape)} has {common}", rank=common)
    joined = scene.integer("[1]", "dim", default=1 if scene.call == "hstack" else 0)
    joined = joined % common if code == "cat" and -common <= joined < common else None  # type: ignore[assignment]
    first = scene.operands[0]
    for second in scene.operands[1:]:
        for axis in range(common):
            if axis != joined and first.shape[axis] != second.shape[axis]:
                one, two = side(first, axis), side(second, axis)
                text = f"{scene.call} along axis {joined}: " if joined is not None else f"{scene.call}: "
                return Cause(code, text + difference(scene, one, two), sides=(one, two))
    return None
