"""Recognises a subscript that Python refuses: of a list, a tuple, a dict, a shape."""

from __future__ import annotations

import re

from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, finds
from vit_trace.diagnose.causes.index import INDEX, valid_indices
from vit_trace.diagnose.causes.unpack import CHUNK, stage_of_value
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.scene import Scene, axes_text


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
    shaped = re.fullmatch(r"(.*)\.(shape|size\(\))", value)
    tensor = next((operand for operand in scene.operands if shaped and operand.name == shaped[1]), None)
    if tensor is not None:
        rank = place + 1 if place >= 0 else -place
        text = f"`{value}[{place}]` needs {axes_text(rank)}, {tensor.name} {shape_text(tensor.shape)} has "
        return Cause(WRONG_RANK, text + str(len(tensor.shape)), rank=rank)
    stage = stage_of_value(scene, value)
    if stage is not None and stage.inputs and not -len(stage.outputs) <= place < len(stage.outputs):
        given, parts = shape_text(stage.inputs[0].shape), len(stage.outputs)
        text = f"{stage.operation} of {given} gave {parts} part{'s' * (parts != 1)}, index {place} is out of range"
        return Cause(CHUNK, f"{text}, {valid_indices(parts)}")
    if type(count) is int:
        text = f"{value} has {count} value{'s' * (count != 1)}, index {place} is out of range"
        return Cause(INDEX, f"{text}, {valid_indices(count)}")
    return None
