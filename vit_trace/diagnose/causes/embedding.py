"""Recognises an embedding that is asked for rows that its table does not have."""

from __future__ import annotations

from vit_trace.diagnose.cause import Cause, finds
from vit_trace.diagnose.causes.dtype import DTYPE
from vit_trace.diagnose.causes.index import INDEX, extent_note, valid_indices, value_out_of_range
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.scene import Scene, Side, called, name_in_layer, side


@finds("embedding")
def missing_row(scene: Scene) -> Cause | None:
    """`self.pos(ids)`: ids are whole numbers, and rows of the table."""
    if len(scene.operands) < 2:
        return None
    weight = next((operand for operand in scene.operands if len(operand.shape) == 2 and operand.parameter), None)
    index = next((operand for operand in scene.operands if operand is not weight), scene.operands[0])
    name, layer = name_in_layer(index), scene.layer
    if index.dtype not in ("int64", "int32"):
        return Cause(DTYPE, f"{layer} looks up int64 or int32, {name} is {index.dtype}")
    weight = weight or scene.operands[1]
    if len(weight.shape) != 2:
        return Cause(WRONG_RANK, f"embedding takes a table with 2 axes, {called(weight)} has {len(weight.shape)}")
    rows = weight.shape[0]
    row = value_out_of_range(index, rows, negative=False)
    if row is None:
        return None
    text = f"{layer} has {rows} rows and is asked for row {row}, {valid_indices(rows)}"
    sides = (side(weight, 0, layer), Side(None, None, row + 1, name)) if row >= rows else ()
    return Cause(INDEX, text, (extent_note(index, name),), sides)
