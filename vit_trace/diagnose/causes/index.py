"""An index is out of range: x[:, 9] of an axis of 9, a row that an embedding does not have, a mask of another size, the
fifth of a list of four. If the values of an index decide, the notes give its lowest and highest.
Example: pos has 196 rows and is asked for row 196: token ids and positions count from 0.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vit_trace.base.trace import Operand, Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, finds
from vit_trace.diagnose.causes.broadcast import BROADCAST
from vit_trace.diagnose.causes.dtype import DTYPE
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.changes.inputs import layouts_of_expected_axes
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.scene import Scene, Shape, Side, axes_text, called, clash, side, with_shape

INDEX = CauseKind("index", __doc__, usual(layout=layouts_of_expected_axes))

COUNTED = -1
"""The size of what a mask takes: its values decide."""

WHOLE = ("int64", "int32", "int16", "int8", "uint8")


def valid_indices(size: int) -> str:
    """valid: 0…8"""
    return f"valid: 0…{size - 1}" if size > 1 else "valid: only 0" if size else "there are none"


def value_out_of_range(index: Operand, size: int, negative: bool = True) -> int | None:
    """The value of an index that is out of range for `size`; None where all are valid, or none is known."""
    if index.extent is None:
        return None
    lowest, highest = index.extent
    if highest >= size:
        return highest
    return lowest if lowest < (-size if negative else 0) else None


def out_of_range(tensor: Operand, axis: int, index: Operand, negative: bool = True) -> Cause | None:
    """An index with a value that is too large or too small, with the size that would do."""
    size = tensor.shape[axis]
    value = value_out_of_range(index, size, negative)
    if value is None:
        return None
    sides = (side(tensor, axis), Side(None, None, value + 1, called(index))) if value >= size else ()
    text = f"index {value} is out of range on axis {axis} of {with_shape(tensor)}, {valid_indices(size)}"
    return Cause(INDEX, text, (extent_note(index, called(index)),), sides)


def extent_note(index: Operand, name: str) -> str:
    """ids 2×9 holds 0 to 300"""
    lowest, highest = index.extent or (0, 0)
    return f"{name} {shape_text(index.shape)} holds {lowest} to {highest}"


@dataclass(frozen=True)
class _Part:
    """One part of a subscript at the axis it is about; `tensor` is the index it is, if it is one."""

    axis: int
    value: Value
    tensor: Operand | None = None

    @property
    def takes(self) -> int:
        """How many axes it uses up."""
        if self.tensor is not None and self.tensor.dtype == "bool":
            return len(self.tensor.shape)
        return 0 if self.value == "None" else 1


def _parts_of(parts: Sequence[Value], tensors: Sequence[Operand], ndim: int) -> list[_Part]:
    """The parts of a subscript with the axes they are about; `...` becomes the axes it stands for."""
    left = iter(tensors)
    raw = [_Part(0, part, next(left, None) if part == "tensor" else None) for part in parts]
    named = sum(part.takes for part in raw if part.value != "...")
    found: list[_Part] = []
    axis = 0
    for part in raw:
        count = ndim - named if part.value == "..." else 1
        for _ in range(max(count, 0)):
            placed = _Part(axis, "::" if part.value == "..." else part.value, part.tensor)
            found.append(placed)
            axis += placed.takes
    return found


@finds("getitem", "setitem", tensors=1)
def subscript_of_tensor(scene: Scene) -> Cause | None:
    """`x[:, 0, 0]`: more axes than there are, an index out of range, a mask of another size."""
    tensor, written = scene.operands[0], scene.argument("[1]")
    if not isinstance(written, list):
        return None
    if "str" in written:
        return Cause(INDEX, f"{with_shape(tensor)} is a tensor, which has no keys, and is asked for one")
    count = sum(part == "tensor" for part in written)
    parts = _parts_of(written, scene.operands[1 : 1 + count], len(tensor.shape))
    asked = sum(part.takes for part in parts)
    if asked > len(tensor.shape):
        number = f"{called(tensor)} is a single number"
        has = f"{with_shape(tensor)} has {len(tensor.shape)}" if tensor.shape else number
        are = "is" if asked == 1 else "are"
        return Cause(WRONG_RANK, f"{axes_text(asked)} {are} indexed, but {has}", rank=asked)
    wrong = (*filter(None, (_part_out_of_range(tensor, part) for part in parts)), *_indices_differ(parts))
    if wrong:
        return wrong[0]
    if scene.call == "setitem":
        return _does_not_fit_into(scene, _selected_shape(tensor.shape, parts), scene.tensor(1 + count))
    is_range = scene.raised[0] == "IndexError"
    return Cause(INDEX, f"the subscript is out of range for {with_shape(tensor)}") if is_range else None


def _part_out_of_range(tensor: Operand, part: _Part) -> Cause | None:
    """One part of a subscript that the tensor has no values for."""
    index, size = part.tensor, tensor.shape[part.axis] if part.axis < len(tensor.shape) else 0
    if type(part.value) is int and not -size <= part.value < size:
        text = f"index {part.value} is out of range on axis {part.axis} of {with_shape(tensor)}, {valid_indices(size)}"
        return Cause(INDEX, text)
    if index is None:
        return None
    if index.dtype == "bool":
        return _mask_of_other_size(tensor, part.axis, index)
    if index.dtype not in WHOLE:
        text = f"{with_shape(tensor)} is indexed by {called(index)}, which is {index.dtype}, not a whole number"
        return Cause(DTYPE, text)
    return out_of_range(tensor, part.axis, index)


def _mask_of_other_size(tensor: Operand, start: int, mask: Operand) -> Cause | None:
    for axis, length in enumerate(mask.shape):
        if tensor.shape[start + axis] != length:
            one, two = side(tensor, start + axis), side(mask, axis)
            text = f"{two.name} {shape_text(mask.shape)} is a mask for {length} on axis {one.axis}, "
            return Cause(INDEX, f"{text}{with_shape(tensor)} has {one.size}", sides=(one, two))
    return None


def _indices_differ(parts: Sequence[_Part]) -> Iterator[Cause]:
    """`x[rows, columns]` of two lengths."""
    indices = [part.tensor for part in parts if part.tensor is not None and part.tensor.dtype != "bool"]
    for place, second in enumerate(indices):
        for first in indices[:place]:
            back = clash(first.shape, second.shape)
            if back is not None:
                text = f"the indices {with_shape(first)} and {with_shape(second)} do not go together"
                yield Cause(BROADCAST, text, sides=(side(first, -back), side(second, -back)))


def _does_not_fit_into(scene: Scene, shape: Shape | None, value: Operand | None) -> Cause | None:
    """`y[:, 1:] = x` where x does not have the size of what it is put into."""
    if value is None or shape is None:
        return None
    target = scene.failure.span.text if scene.failure.span and "\n" not in scene.failure.span.text else "the target"
    for back in range(1, max(len(shape), len(value.shape)) + 1):
        have = value.shape[-back] if back <= len(value.shape) else 1
        room = shape[-back] if back <= len(shape) else 1
        if have not in (1, room) and room != COUNTED:
            whole = "×".join("?" if size == COUNTED else str(size) for size in shape)
            text = f"{target} is {whole} and is given {with_shape(value)}: {have} does not fit into {room}"
            return Cause(BROADCAST, text, sides=(side(value, -back), Side(None, None, room, target)))
    return None


def _selected_shape(shape: Sequence[int], parts: Sequence[_Part]) -> Shape | None:
    """The shape of what a subscript takes; None where that depends on values or several tensors."""
    sizes: list[int] = []
    axis = 0
    if sum(part.tensor is not None for part in parts) > 1:
        return None
    for part in parts:
        if part.tensor is not None:
            sizes += (COUNTED,) if part.tensor.dtype == "bool" else part.tensor.shape
        elif part.value == "None":
            sizes.append(1)
        elif isinstance(part.value, str):
            bounds = [int(one) if re.fullmatch(r"-?\d+", one) else None for one in part.value.split(":")]
            sizes.append(len(range(*slice(*bounds).indices(shape[axis]))))
        axis += part.takes
    return (*sizes, *shape[axis:])
