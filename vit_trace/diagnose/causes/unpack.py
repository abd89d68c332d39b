"""Recognises assignments to more or fewer names than there are values, and subscripts that Python refuses."""

import re

from vit_trace.base.trace import Operand, Stage
from vit_trace.base.words import shape_text, unnumbered
from vit_trace.diagnose.cause import Cause, CauseKind, finds
from vit_trace.diagnose.causes.index import INDEX, valid_indices
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK, map_as_tokens
from vit_trace.diagnose.changes.inputs import layouts_of_expected_axes
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.scene import Scene, axes_text, side

UNPACK = CauseKind(
    "unpack",
    """An assignment to several names from something with a different number of values: h, w = self.grid of three
    numbers, h, w = x.shape[1] of one.
    """,
    usual(layout=layouts_of_expected_axes),
)

CHUNK = CauseKind(
    "chunk",
    """chunk, split or unbind gave a different number of parts than there are names for them.
    Example: chunk(3) of an axis of 2 gives 2 parts. chunk gives fewer parts, not smaller ones, where an axis is too
    short. """,
    usual(layout=layouts_of_expected_axes),
)

SPLITS = {"chunk", "split", "unbind", "split_with_sizes", "tensor_split"}

NEAR = 40
"""Lines above a failure that are searched for what made the value; calls further up are ignored."""

LONGEST = 60
"""Characters of an assignment's right side; a longer one is called the right side."""


@finds("unpack", edits=[map_as_tokens])
def other_number_of_values(scene: Scene) -> Cause | None:
    """`b, c, h, w = x.shape`, `h, w = x.shape[1]`, `q, k, v = x.chunk(3)`, `h, w = self.grid`, `a, b = x`."""
    if "names" not in scene.failure.arguments:  # einops has an unpack too
        return None
    count, given, number = scene.integer("names", default=0), scene.argument("count"), scene.argument("number")
    value, targets, source = (str(scene.argument(name) or "") for name in ("value", "targets", "source"))
    whole = f"`{targets} = {value}`" if len(value) <= LONGEST and value else f"`{targets or 'an assignment'}`"
    tensor = _tensor_of_shape(scene, re.sub(r"\[\d+:\]$", "", value))
    if tensor is not None and type(given) is int:
        rank = count + len(tensor.shape) - given
        text = f"{whole} needs {axes_text(rank)}, {tensor.name} {shape_text(tensor.shape)} has {len(tensor.shape)}"
        return Cause(WRONG_RANK, text, rank=rank)
    if number is not None:
        return Cause(UNPACK, f"{whole} needs {count} values, the right side is one number, {number}")
    stage = _stage_of_value(scene, source or value)
    parts = len(stage.outputs) if stage is not None else 0
    if stage is not None and stage.inputs and parts != count and given in (None, parts):
        text = f"{stage.operation} of {shape_text(stage.inputs[0].shape)}{_split_axis_text(stage)} gave {parts} "
        kind = CHUNK if stage.operation in SPLITS else UNPACK
        return Cause(kind, f"{text}part{'s' * (parts != 1)}, `{targets}` needs {count}")
    tensor = next((operand for operand in scene.operands if operand.name == value and operand.shape), None)
    if tensor is not None:
        text = f"{whole} splits {value} {shape_text(tensor.shape)} along axis 0: "
        return Cause(UNPACK, f"{text}{tensor.shape[0]} parts, {count} are needed", sides=(side(tensor, 0),))
    more = "more" if scene.failure.exception.startswith("ValueError: too many") else "fewer"
    name = "the right side" if source in ("", value) or len(source) > LONGEST else source
    return Cause(UNPACK, f"{whole} needs {count} values, {name} has {given if type(given) is int else more}")


def _tensor_of_shape(scene: Scene, value: str) -> Operand | None:
    """The tensor whose shape an expression is: x for x.shape and x.size()."""
    shaped = re.fullmatch(r"(.*)\.(?:shape|size\(\))", value)
    return next((operand for operand in scene.operands if shaped and operand.name == shaped[1]), None)


def _split_axis_text(stage: Stage) -> str:
    """ " along axis 1": the one that a chunk or split splits."""
    if stage.operation not in SPLITS or not stage.inputs or not stage.outputs:
        return ""
    whole, part = stage.inputs[0].shape, stage.outputs[0].shape
    if len(whole) != len(part):
        return ""
    axes = [axis for axis, (one, two) in enumerate(zip(whole, part, strict=True)) if one != two]
    return f" along axis {axes[0]}" if len(axes) == 1 else ""


def _stage_of_value(scene: Scene, value: str) -> Stage | None:
    """The last stage that gave an expression's value: its own call, or the one that a variable is named after."""
    span = scene.failure.span
    text = _normalised_source(value)
    for stage in reversed(scene.trace.stages):
        source = stage.source
        if source is None or stage.kind == "input":
            continue
        near = span is not None and source.file == span.file and 0 <= span.line - source.line <= NEAR
        named = unnumbered(stage.name).rpartition(".")[2]
        if near and (_normalised_source(source.text) == text or named == value):
            return stage
    return None


def _normalised_source(text: str) -> str:
    """An expression without spaces, its quotes all single."""
    return "".join(text.split()).replace('"', "'")


@finds("subscript")
def missing_item(scene: Scene) -> Cause | None:
    """`features[4]` of a list, `x.shape[3]`, `x.split(4)[5]`, `outputs["feat"]`."""
    value, place, count = str(scene.argument("value") or ""), scene.argument("place"), scene.argument("count")
    keys = scene.argument("keys")
    if isinstance(keys, list):
        there = ", ".join(repr(key) for key in keys)
        return Cause(INDEX, f"{value} has no {place!r}: it has {there or 'nothing'}")
    if type(place) is not int:
        return None
    tensor = _tensor_of_shape(scene, value)
    if tensor is not None:
        rank = place + 1 if place >= 0 else -place
        text = f"`{value}[{place}]` needs {axes_text(rank)}, {tensor.name} {shape_text(tensor.shape)} has "
        return Cause(WRONG_RANK, text + str(len(tensor.shape)), rank=rank)
    stage = _stage_of_value(scene, value)
    if stage is not None and stage.inputs and not -len(stage.outputs) <= place < len(stage.outputs):
        given, parts = shape_text(stage.inputs[0].shape), len(stage.outputs)
        text = f"{stage.operation} of {given} gave {parts} part{'s' * (parts != 1)}, index {place} is out of range"
        return Cause(CHUNK, f"{text}, {valid_indices(parts)}")
    if type(count) is int:
        text = f"{value} has {count} value{'s' * (count != 1)}, index {place} is out of range"
        return Cause(INDEX, f"{text}, {valid_indices(count)}")
    return None
