"""Changes the failing call: another argument, or methods on one of its tensors. No torch.

A trial applies an edit only where that expression calls the function and the call raises. Edits that only one cause
wants are in that cause's file, made with `turned` and `call_changed`.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

from vit_trace.base.trace import Operand, Stage, Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.changes.parameters import LIKEWISE, other_blocks
from vit_trace.diagnose.changes.records import CallChange, Fix, LayerInput, Method, methods_text
from vit_trace.diagnose.producers import makers_of
from vit_trace.diagnose.scene import Scene, Shape, call_written, called

LONGEST = 40
"""Characters of an expression that a suggestion repeats; a longer one is not repeated."""


class _LayerSizes(NamedTuple):
    """The shape that a layer got, and the size that it wants somewhere in it."""

    shape: Shape
    wanted: int


def layer_sizes(question: Question) -> _LayerSizes | None:
    """What a layer got and wants; None where it got the model's own input, whose layout is tried elsewhere."""
    first, sides = question.scene.tensor(0), question.cause.sides
    if first is None or len(sides) != 2 or first.parameter:
        return None
    given = (spec.shape for stage in question.scene.inputs for spec in stage.outputs)
    if any(sorted(shape) == sorted(first.shape) for shape in given):
        return None
    return _LayerSizes(first.shape, sides[1].size)


def features_moved(question: Question) -> Iterator[Fix]:
    """Moves the features of a layer's input to the last axis, or flattens them."""
    sizes = layer_sizes(question)
    if sizes is None:
        return
    scene, (shape, wanted) = question.scene, sizes
    if len(shape) == 4 and shape[1] == wanted:
        yield from turned(scene, 0, ("flatten", 2), ("transpose", 1, 2))
        yield from turned(scene, 0, ("permute", 0, 2, 3, 1))
    elif len(shape) > 2 and shape[-2] == wanted:
        yield from turned(scene, 0, ("transpose", -2, -1))
    for start in range(1, len(shape) - 1):
        if prod(shape[start:]) == wanted:
            yield from turned(scene, 0, ("flatten", start))


def turned(scene: Scene, place: int, *steps: Method) -> Iterator[Fix]:
    """Calls methods on one tensor of the call; for a layer, then also on those of its namesakes in other blocks."""
    methods, name, stage = methods_text(steps), _expression(scene.operands[place]), scene.stage
    if place == 0 and stage is not None and stage.kind == "module" and stage.module:
        given = input_written(scene)
        text = f"{given}{methods} instead of {given}" if given else f"{methods} on the input of {stage.module}"
        yield LayerInput(text, (stage.module,), steps)
        if others := other_blocks(scene, stage.module):
            yield LayerInput(f"{text}{LIKEWISE}", (stage.module, *others), steps)
        return
    bare = name[1:-1] if name.startswith("(") and name[1:-1] == scene.operands[place].name else name
    text = f"{name}{methods} instead of {bare}" if name else f"{methods} on tensor {place} of {scene.call}"
    yield from call_changed(scene, text, operand=place, steps=steps)


def input_written(scene: Scene) -> str:
    """What a layer is called with, as written, where the failing expression is that call: t for self.proj(t)."""
    call, stage = call_written(scene.failure.span), scene.stage
    if call is None or stage is None or len(call.given) != 1 or call.keywords or "\n" in call.given[0]:
        return ""
    [given] = call.given
    simple = re.fullmatch(r"[A-Za-z_][\w.]*", given) is not None and len(given) <= LONGEST
    return given if simple and call.name == stage.module.rpartition(".")[2] else ""


def call_changed(
    scene: Scene,
    text: str,
    arguments: Mapping[str, Value] | None = None,
    operand: int = 0,
    steps: Sequence[Method] = (),
) -> Iterator[Fix]:
    """The failing call with other arguments, or with methods applied to one of its tensors, where its line is known."""
    if scene.failure.span is not None:
        yield CallChange(text, scene.failure.call, scene.failure.span, arguments or {}, operand, tuple(steps))


def as_large_as_the_other(question: Question) -> Iterator[Fix]:
    """interpolate to the size of the other map, in place of a factor: what strides rounded up does not come back."""
    scene = question.scene
    pairs = [*scene.operands[:2]] if len(scene.operands) > 1 else []
    for operand, other in (pairs, pairs[::-1]) if pairs else ():
        made = next((stage for stage in makers_of(scene, operand) if stage.operation == "interpolate"), None)
        space = other.shape[2:]
        if made is None or made.source is None or len(operand.shape) != len(other.shape) < 4 or not space:
            continue
        text = f"interpolate with size={called(other)}.shape[2:], {shape_text(space)}, in line {made.source.line}"
        yield CallChange(text, "interpolate", made.source, {"size": [*space], "scale_factor": None}, runs=True)


def output_turned(stage: Stage, *steps: Method, others: Sequence[str] = ()) -> LayerInput:
    """Calls methods on what a module returns."""
    written = stage.source.text if stage.source is not None else ""
    simple = stage.module and len(written) <= LONGEST and "\n" not in written and written.endswith(")")
    text = methods_text(steps)
    text = f"{written}{text} instead of {written}" if simple else f"{text} on the output of {stage.module}"
    return LayerInput(f"{text}{LIKEWISE if others else ''}", (stage.module, *others), (), back=steps)


TUPLE = re.compile(r"\btuple\b")


def first_of_several(question: Question) -> Iterator[Fix]:
    """`self.attn(x, x, x)[0]`: the first of the tensors that the layer before returned, where a tuple is refused."""
    scene = question.scene
    if scene.stage is None or not TUPLE.search(scene.raised[1]):
        return
    around = (scene.stage.index, scene.stage.parent)
    made = [one for one in scene.trace.stages if one.kind == "module" and one.parent in around and len(one.outputs) > 1]
    if made:
        yield output_turned(made[-1], ("__getitem__", 0))
        yield output_turned(made[-1], ("__getitem__", 0), others=other_blocks(scene, made[-1].module))


def _expression(operand: Operand) -> str:
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
