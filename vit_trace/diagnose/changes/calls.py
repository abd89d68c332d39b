"""Changes the failing call: another argument, or a method on one of its tensors. No torch.

A trial applies it only where that expression calls the function and the call raises.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from math import prod

from vit_trace.base.trace import Operand, Value
from vit_trace.diagnose.cause import Cause
from vit_trace.diagnose.causes.cat import JOINS
from vit_trace.diagnose.causes.gather import GATHERS, SCATTERS
from vit_trace.diagnose.causes.matmul import BIASED, PRODUCTS
from vit_trace.diagnose.changes.parameters import LIKEWISE, other_blocks
from vit_trace.diagnose.changes.records import CallChange, Fix, LayerInput
from vit_trace.diagnose.changes.steps import Method, method
from vit_trace.diagnose.scene import Scene, Shape, clash

WIDTHS = {"linear", "norm-size", "attention-width"}
ATTENTION = "scaled_dot_product_attention"
LONGEST = 40
"""Characters of an expression that a suggestion repeats; a longer one is not repeated."""


def calls(scene: Scene, cause: Cause) -> Iterator[Fix]:
    """Changes of the failing call whose shapes fit there; a trial tells whether the rest runs."""
    if cause.by_value or (scene.failure.span is None and cause.code not in WIDTHS):  # a line to change, or a layer
        return
    if scene.call in JOINS:
        yield from joins(scene)
    elif scene.call in PRODUCTS:
        yield from products(scene)
    elif scene.call in GATHERS | SCATTERS:
        yield from gathers(scene)
    elif cause.code in WIDTHS:
        yield from widths(scene, cause)
    elif cause.code == "conv-channels":
        yield from channels(scene, cause)
    elif cause.code == "broadcast" and scene.call not in ("getitem", "setitem", ATTENTION):
        yield from broadcasts(scene)
    elif cause.code == "permute":
        yield from permuted(scene)
    elif scene.call == ATTENTION:
        yield from attended(scene)
    elif cause.code == "view":
        yield changed_tensor(scene, "reshape instead of view", 0, [method("contiguous")])


def joins(scene: Scene) -> Iterator[Fix]:
    """Joins along the one axis that differs, expands a tensor of size 1, or adds an axis that is missing."""
    shapes = [operand.shape for operand in scene.operands]
    ndim = max(map(len, shapes), default=0)
    if not ndim:
        return
    if len({len(shape) for shape in shapes}) > 1:
        yield from missing_axes(scene, ndim)
        return
    odd = [axis for axis in range(ndim) if len({shape[axis] for shape in shapes}) > 1]
    joined = scene.integer("[1]", "dim", default=0)
    if len(odd) == 1 and odd[0] != joined % ndim and scene.call in ("cat", "concat", "concatenate"):
        yield changed_arguments(scene, f"{scene.call} with dim={odd[0]}", {"dim": odd[0]})
        return
    for place, shape in enumerate(shapes if ndim == 3 else ()):
        if agree([*shapes[:place], (shape[0], shape[2], shape[1]), *shapes[place + 1 :]], joined % ndim):
            yield from turned(scene, place, [method("transpose", 1, 2)])
    for axis in odd:
        full = max(shape[axis] for shape in shapes)
        ones = [place for place, shape in enumerate(shapes) if shape[axis] == 1]
        if axis != joined % ndim and len(ones) == 1 and full > 1:
            yield from turned(scene, ones[0], [method("expand", *(full if at == axis else -1 for at in range(ndim)))])


def agree(shapes: Sequence[Shape], joined: int) -> bool:
    """Whether shapes can be joined along an axis."""
    return len({(*shape[:joined], *shape[joined + 1 :]) for shape in shapes}) == 1


def permuted(scene: Scene) -> Iterator[Fix]:
    """Puts the missing axis in one of the two places of an axis that is named twice."""
    ndim, dims = len(scene.operands[0].shape), scene.sizes("dims")
    left = [axis for axis in range(ndim) if axis not in [one % ndim for one in dims]]
    before = f"permute({', '.join(map(str, dims))})"
    for place in range(ndim) if len(left) == 1 else ():
        after = [*dims[:place], left[0], *dims[place + 1 :]]
        if len({axis % ndim for axis in after}) == ndim:
            text = f"permute({', '.join(map(str, after))}) instead of {before}"
            yield changed_arguments(scene, text, {"dims": [*after]})


def attended(scene: Scene) -> Iterator[Fix]:
    """Exchanges heads and tokens in the one of queries, keys and values that differs from the other two."""
    shapes = [operand.shape for operand in scene.operands[:3]]
    for place, shape in enumerate(shapes if all(len(one) == 4 for one in shapes) else ()):
        others = {one[:2] for at, one in enumerate(shapes) if at != place}
        if others == {(shape[0], shape[2])}:
            yield from turned(scene, place, [method("transpose", 1, 2)])


def missing_axes(scene: Scene, ndim: int) -> Iterator[Fix]:
    """Adds an axis of size 1 to the only tensor with one axis less."""
    short = [place for place, operand in enumerate(scene.operands) if len(operand.shape) == ndim - 1]
    if len(short) == 1 and scene.call in ("cat", "concat", "concatenate"):
        yield from turned(scene, short[0], [method("unsqueeze", scene.integer("[1]", "dim", default=0) % ndim)])


def products(scene: Scene) -> Iterator[Fix]:
    """Exchanges the last two axes of one of two matrices."""
    start = 1 if scene.call in BIASED else 0
    if len(scene.operands) < start + 2:
        return
    first, second = (operand.shape for operand in scene.operands[start : start + 2])
    if min(len(first), len(second)) < 2 or first[-1] == second[-2]:
        return
    if first[-1] == second[-1]:
        yield from turned(scene, start + 1, [method("transpose", -2, -1)])
    if first[-2] == second[-2]:
        yield from turned(scene, start, [method("transpose", -2, -1)])


def gathers(scene: Scene) -> Iterator[Fix]:
    """Expands an index with one axis less over the last axis of the tensor that it indexes."""
    if len(scene.operands) < 2:
        return
    tensor, index = (operand.shape for operand in scene.operands[:2])
    if len(index) == len(tensor) - 1:
        yield from turned(scene, 1, [method("unsqueeze", -1), method("expand", *(-1 for _ in index), tensor[-1])])


def widths(scene: Scene, cause: Cause) -> Iterator[Fix]:
    """Moves the features of a layer's input to the last axis, or flattens them."""
    shape, wanted = sides_of(scene, cause)
    if shape is None or taken_from_input(scene, shape):
        return
    if len(shape) == 4 and shape[1] == wanted:
        yield from turned(scene, 0, [method("flatten", 2), method("transpose", 1, 2)])
        yield from turned(scene, 0, [method("permute", 0, 2, 3, 1)])
    elif len(shape) > 2 and shape[-2] == wanted:
        yield from turned(scene, 0, [method("transpose", -2, -1)])
    for start in range(1, len(shape) - 1):
        if prod(shape[start:]) == wanted:
            yield from turned(scene, 0, [method("flatten", start)])


def channels(scene: Scene, cause: Cause) -> Iterator[Fix]:
    """Moves the channels of a feature map to the front."""
    shape, wanted = sides_of(scene, cause)
    if shape is not None and len(shape) == 4 and shape[-1] == wanted and not taken_from_input(scene, shape):
        yield from turned(scene, 0, [method("permute", 0, 3, 1, 2)])


def sides_of(scene: Scene, cause: Cause) -> tuple[Shape | None, int]:
    """(shape of a layer's input, the size that the layer wants)"""
    first = scene.tensor(0)
    if first is None or len(cause.sides) != 2 or first.parameter:
        return None, 0
    return first.shape, cause.sides[1].size


def taken_from_input(scene: Scene, shape: Shape) -> bool:
    """Whether it is the model's own input, perhaps with its axes moved: fixes of the input cover that."""
    return any(sorted(spec.shape) == sorted(shape) for stage in scene.inputs for spec in stage.outputs)


def broadcasts(scene: Scene) -> Iterator[Fix]:
    """Transposes one of two tensors or gives it an axis, so that it broadcasts to the other."""
    for place, other in ((1, 0), (0, 1)) if len(scene.operands) > 1 else ():
        operand, whole = scene.operands[place], scene.operands[other].shape
        for steps in turns(operand.shape, whole):
            yield from turned(scene, place, steps)


def turns(shape: Shape, whole: Shape) -> Iterator[list[Method]]:
    """Methods after which a shape broadcasts to another."""
    if len(shape) >= 2 and fits((*shape[:-2], shape[-1], shape[-2]), whole):
        yield [method("transpose", -2, -1)]
    if len(shape) == len(whole) - 1:
        for axis in range(len(shape), 0, -1):
            if fits((*shape[:axis], 1, *shape[axis:]), whole):
                yield [method("unsqueeze", axis if axis < len(shape) else -1)]


def fits(shape: Sequence[int], whole: Sequence[int]) -> bool:
    """Whether one shape broadcasts to another without making that larger."""
    grows = any(size == 1 != length for size, length in zip(reversed(whole), reversed(shape), strict=False))
    return len(shape) <= len(whole) and clash(tuple(shape), tuple(whole)) is None and not grows


# -- as data, and in words -----------------------------------------------------------------------------------------


def turned(scene: Scene, place: int, steps: list[Method]) -> Iterator[Fix]:
    """Calls methods on one tensor of the call; for a layer, then also on those of its namesakes in other blocks."""
    operand = scene.operands[place]
    methods = "".join(f".{step}" for step in steps)
    name = expression(operand)
    stage = scene.stage
    if place == 0 and stage is not None and stage.kind == "module" and stage.module:
        given = handed_over(scene)
        text = f"{given}{methods} instead of {given}" if given else f"{methods} on the input of {stage.module}"
        yield LayerInput(text, (stage.module,), tuple(steps))
        if others := other_blocks(scene, stage.module):
            yield LayerInput(f"{text}{LIKEWISE}", (stage.module, *others), tuple(steps))
        return
    if scene.failure.span is None:
        return
    text = f"{name}{methods} instead of {name}" if name else f"{methods} on tensor {place} of {scene.call}"
    yield changed_tensor(scene, text, place, steps)


def handed_over(scene: Scene) -> str:
    """What a layer is called with, as written, where the failing expression is that call: t for self.proj(t)."""
    span, stage = scene.failure.span, scene.stage
    if span is None or stage is None or "\n" in span.text:
        return ""
    try:
        node = ast.parse(span.text.strip(), mode="eval").body
    except SyntaxError:
        return ""
    if not isinstance(node, ast.Call) or len(node.args) != 1 or node.keywords:
        return ""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    given = ast.unparse(node.args[0])
    simple = isinstance(node.args[0], (ast.Name, ast.Attribute)) and len(given) <= LONGEST
    return given if simple and name == stage.module.rpartition(".")[2] else ""


def changed_arguments(scene: Scene, text: str, arguments: Mapping[str, Value]) -> CallChange:
    span = scene.failure.span
    assert span is not None
    return CallChange(text, scene.failure.call, span, arguments=arguments)


def changed_tensor(scene: Scene, text: str, operand: int, steps: Sequence[Method]) -> CallChange:
    span = scene.failure.span
    assert span is not None
    return CallChange(text, scene.failure.call, span, operand=operand, steps=tuple(steps))


def expression(operand: Operand) -> str:
    """The operand as written, if it is short and can be called a method of; else ""."""
    if operand.span is None and operand.parameter:
        return operand.parameter
    if operand.span is None or len(operand.name) > LONGEST or "\n" in operand.name:
        return ""
    try:
        node = ast.parse(operand.name, mode="eval").body
    except SyntaxError:
        return ""
    simple = isinstance(node, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))
    return operand.name if simple else f"({operand.name})"
