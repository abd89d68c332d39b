"""Places that are asked for and not there: subscripts, select, embeddings, gather and scatter, Python's own lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vit_trace.base.trace import Operand, Stage, Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.causes.combine import clash
from vit_trace.diagnose.scene import Cause, Scene, Side, axes_text, called, side

WHOLE = ("int64", "int32", "int16", "int8", "uint8")
GATHERS = {"gather", "take_along_dim"}
SCATTERS = {"scatter", "scatter_add", "scatter_reduce"}
NEAR = 40
"""Lines above a failure in which what it takes apart may have been made."""

SELECTS = {"index_select", "index_add", "index_fill", "index_copy"}


def there_are(size: int) -> str:
    """there are 0…8"""
    return f"there are 0…{size - 1}" if size > 1 else "there is only 0" if size else "there is none"


def beyond(index: Operand, size: int, negative: bool = True) -> int | None:
    """The value of an index that names no place among `size`; None where all do, or none is known."""
    if index.extent is None:
        return None
    lowest, highest = index.extent
    if highest >= size:
        return highest
    return lowest if lowest < (-size if negative else 0) else None


# -- subscripts of tensors -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
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


def parts_of(parts: Sequence[Value], tensors: Sequence[Operand], ndim: int) -> list[Part]:
    """The parts of a subscript with the axes they are about; `...` becomes the axes it stands for."""
    left = iter(tensors)
    raw = [Part(0, part, next(left, None) if part == "tensor" else None) for part in parts]
    named = sum(part.takes for part in raw if part.value != "...")
    found: list[Part] = []
    axis = 0
    for part in raw:
        count = ndim - named if part.value == "..." else 1
        for _ in range(max(count, 0)):
            placed = Part(axis, "::" if part.value == "..." else part.value, part.tensor)
            found.append(placed)
            axis += placed.takes
    return found


def indexing(scene: Scene) -> Cause | None:
    """x[:, 0, 0]: more axes than there are, a place beyond the end, a mask of another size; x[i] = y of another."""
    tensor, written = scene.tensor(0), scene.argument("[1]")
    if scene.call not in ("getitem", "setitem") or tensor is None or not isinstance(written, list):
        return None
    count = sum(part == "tensor" for part in written)
    parts = parts_of(written, scene.operands[1 : 1 + count], len(tensor.shape))
    shown = f"{called(tensor)} {shape_text(tensor.shape)}"
    asked = sum(part.takes for part in parts)
    if asked > len(tensor.shape):
        has = f"{shown} has {len(tensor.shape)}" if tensor.shape else f"{called(tensor)} is a single number"
        text = f"{axes_text(asked)} are indexed, but {has}"
        return Cause("wrong-rank", text.replace("1 axis are", "1 axis is"), rank=asked)
    for part in parts:
        found = missing(tensor, part, shown)
        if found is not None:
            return found
    indices = [part.tensor for part in parts if part.tensor is not None and part.tensor.dtype != "bool"]
    for place, second in enumerate(indices):
        for first in indices[:place]:
            axes = clash(first, second)
            if axes is not None:
                one, two = side(first, axes[0]), side(second, axes[1])
                text = f"the indices {called(first)} {shape_text(first.shape)} and {called(second)} "
                return Cause("broadcast", f"{text}{shape_text(second.shape)} do not go together", sides=(one, two))
    return assigned(scene, tensor, parts, count) or Cause("index", f"{shown} has no place that is asked for here")


def missing(tensor: Operand, part: Part, shown: str) -> Cause | None:
    """One part of a subscript that the tensor has no place for."""
    index, size = part.tensor, tensor.shape[part.axis] if part.axis < len(tensor.shape) else 0
    if type(part.value) is int and not -size <= part.value < size:
        return Cause("index", f"{shown} has no place {part.value} on axis {part.axis}: {there_are(size)}")
    if index is None:
        return None
    if index.dtype == "bool":
        for axis, length in enumerate(index.shape):
            if tensor.shape[part.axis + axis] != length:
                one, two = side(tensor, part.axis + axis), side(index, axis)
                text = f"{two.name} {shape_text(index.shape)} is a mask for {length} on axis {one.axis}, {shown} has "
                return Cause("index", f"{text}{one.size}", sides=(one, two))
        return None
    if index.dtype not in WHOLE:
        return Cause("dtype", f"{shown} is indexed by {called(index)}, which is {index.dtype} and no whole number")
    place = beyond(index, size)
    if place is None:
        return None
    return outside(tensor, part.axis, place, index, shown)


def outside(tensor: Operand, axis: int, place: int, index: Operand, shown: str) -> Cause:
    """An index whose value is too large or too small, with the size that would do."""
    size = tensor.shape[axis]
    text = f"{shown} has no place {place} on axis {axis}: {there_are(size)}"
    assert index.extent is not None
    notes = (f"{called(index)} {shape_text(index.shape)} holds {index.extent[0]} to {index.extent[1]}",)
    sides = (side(tensor, axis), Side(None, None, place + 1, called(index))) if place >= size else ()
    return Cause("index", text, notes, sides)


def assigned(scene: Scene, tensor: Operand, parts: Sequence[Part], count: int) -> Cause | None:
    """`y[:, 1:] = x` where x is not of the size of what it is put into."""
    value = scene.tensor(1 + count)
    shape = selected(tensor.shape, parts)
    if scene.call != "setitem" or value is None or shape is None:
        return None
    target = scene.failure.span.text if scene.failure.span and "\n" not in scene.failure.span.text else "the place"
    for back in range(1, max(len(shape), len(value.shape)) + 1):
        have = value.shape[-back] if back <= len(value.shape) else 1
        room = shape[-back] if back <= len(shape) else 1
        if have not in (1, room):
            text = f"{target} is {shape_text(shape)} and is given {called(value)} {shape_text(value.shape)}: "
            sides = (side(value, -back), Side(None, None, room, target))
            return Cause("broadcast", f"{text}{have} does not fit into {room}", sides=sides)
    return None


def selected(shape: Sequence[int], parts: Sequence[Part]) -> tuple[int, ...] | None:
    """The shape of what a subscript takes; None where that depends on values or several tensors."""
    sizes: list[int] = []
    axis = 0
    if sum(part.tensor is not None for part in parts) > 1:
        return None
    for part in parts:
        if part.tensor is not None:
            if part.tensor.dtype == "bool":
                return None
            sizes += part.tensor.shape
        elif part.value == "None":
            sizes.append(1)
        elif isinstance(part.value, str):
            bounds = [int(one) if re.fullmatch(r"-?\d+", one) else None for one in part.value.split(":")]
            sizes.append(len(range(*slice(*bounds).indices(shape[axis]))))
        axis += part.takes
    return (*sizes, *shape[axis:])


# -- select, narrow and the functions that take an index ------------------------------------------------------------


def selecting(scene: Scene) -> Cause | None:
    """select and narrow of places that an axis does not have."""
    tensor = scene.tensor(0)
    if scene.call not in ("select", "narrow") or tensor is None:
        return None
    axis = scene.integer("[1]", "dim", default=0)
    first = scene.integer("[2]", "index" if scene.call == "select" else "start", default=0)
    length = scene.integer("[3]", "length", default=1) if scene.call == "narrow" else 1
    if not -len(tensor.shape) <= axis < len(tensor.shape):
        return None
    there = side(tensor, axis)
    last = first + length - 1
    if -there.size <= first and last < there.size:
        return None
    what = f"place {first}" if length == 1 else f"places {first} to {last}"
    text = f"{called(tensor)} {shape_text(tensor.shape)} has no {what} on axis {there.axis}: {there_are(there.size)}"
    return Cause("index", text)


def most(scene: Scene) -> Cause | None:
    """topk of more than there are."""
    tensor = scene.tensor(0)
    if scene.call != "topk" or tensor is None or not tensor.shape:
        return None
    count, axis = scene.integer("[1]", "k", default=0), scene.integer("[2]", "dim", default=-1)
    if not -len(tensor.shape) <= axis < len(tensor.shape) or count <= tensor.shape[axis]:
        return None
    there = side(tensor, axis)
    text = f"topk asks for {count} of the {there.size} that {there.name} {shape_text(tensor.shape)} has on axis "
    return Cause("index", f"{text}{there.axis}", sides=(there,))


def embedding(scene: Scene) -> Cause | None:
    """Indices must be whole numbers, and rows of the table."""
    if scene.call != "embedding" or len(scene.operands) < 2:
        return None
    weight = next((operand for operand in scene.operands if len(operand.shape) == 2 and operand.parameter), None)
    index = next((operand for operand in scene.operands if operand is not weight), scene.operands[0])
    name = "its input" if called(index) in ("input", "the tensor") else called(index)
    if index.dtype not in ("int64", "int32"):
        return Cause("dtype", f"{scene.layer} looks up int64 or int32, {name} is {index.dtype}")
    weight = weight or scene.operands[1]
    if len(weight.shape) != 2:
        return Cause("wrong-rank", f"embedding takes a table with 2 axes, {called(weight)} has {len(weight.shape)}")
    place = beyond(index, weight.shape[0], negative=False)
    if place is None:
        return None
    rows = weight.shape[0]
    text = f"{scene.layer} has {rows} rows and is asked for row {place}: {there_are(rows)}"
    assert index.extent is not None
    notes = (f"{name} {shape_text(index.shape)} holds {index.extent[0]} to {index.extent[1]}",)
    sides = (side(weight, 0, scene.layer), Side(None, None, place + 1, name)) if place >= rows else ()
    return Cause("index", text, notes, sides)


def gathering(scene: Scene) -> Cause | None:
    """gather, scatter, index_select, one_hot: the index's axes, sizes and values."""
    if scene.call in GATHERS | SCATTERS and len(scene.operands) > 1:
        return along(scene, *scene.operands[:2])
    if scene.call in SELECTS and len(scene.operands) > 1:
        return chosen(scene, *scene.operands[:2])
    if scene.call == "one_hot" and scene.operands:
        return classes(scene, scene.operands[0])
    return None


def along(scene: Scene, tensor: Operand, index: Operand) -> Cause | None:
    """gather and scatter: an index with as many axes, no longer than the tensor but on the axis it runs along."""
    shown = f"{called(tensor)} {shape_text(tensor.shape)}"
    asks = f"{called(index)} {shape_text(index.shape)}"
    if index.dtype != "int64":
        return Cause("dtype", f"{scene.call} takes an index of int64, {asks} is {index.dtype}")
    if len(index.shape) != len(tensor.shape):
        text = f"{scene.call} takes an index with the {axes_text(len(tensor.shape))} of {shown}, {asks} has "
        return Cause("wrong-rank", text + str(len(index.shape)))
    axis = scene.integer("[1]", "dim", default=0)
    if not -len(tensor.shape) <= axis < len(tensor.shape):
        return None
    axis %= len(tensor.shape)
    source = scene.tensor(2) if scene.call in SCATTERS else None
    for other, but in ((tensor, axis), (source, None)):
        if other is None or len(other.shape) != len(index.shape):
            continue
        for at in range(len(index.shape)):
            if at != but and index.shape[at] > other.shape[at]:
                text = f"{scene.call} along axis {axis}: the index {asks} is longer than {called(other)} "
                text += f"{shape_text(other.shape)} on axis {at}"
                return Cause("gather", text, sides=(side(other, at), side(index, at)))
    place = beyond(index, tensor.shape[axis], negative=False)
    return None if place is None else outside(tensor, axis, place, index, shown)


def chosen(scene: Scene, tensor: Operand, index: Operand) -> Cause | None:
    """index_select and its kin: one axis of places."""
    shown = f"{called(tensor)} {shape_text(tensor.shape)}"
    axis = scene.integer("[1]", "dim", default=0)
    if index.dtype not in ("int64", "int32"):
        return Cause("dtype", f"{scene.call} takes an index of int64 or int32, {called(index)} is {index.dtype}")
    if len(index.shape) > 1:
        text = f"{scene.call} takes an index with 1 axis, {called(index)} {shape_text(index.shape)} has "
        return Cause("wrong-rank", text + str(len(index.shape)))
    if not -len(tensor.shape) <= axis < len(tensor.shape):
        return None
    axis %= len(tensor.shape)
    place = beyond(index, tensor.shape[axis], negative=False)
    return None if place is None else outside(tensor, axis, place, index, shown)


def classes(scene: Scene, index: Operand) -> Cause | None:
    """one_hot: classes from 0 to num_classes - 1."""
    count = scene.integer("[1]", "num_classes", default=-1)
    if index.dtype != "int64":
        return Cause("dtype", f"one_hot takes int64, {called(index)} is {index.dtype}")
    place = beyond(index, count, negative=False) if count >= 0 else beyond(index, 1 << 62, negative=False)
    if place is None:
        return None
    known = f": {there_are(count)}" if count >= 0 else ""
    return Cause("index", f"{called(index)} {shape_text(index.shape)} holds the class {place}{known}")


# -- Python's own lists, tuples and dicts ---------------------------------------------------------------------------


def subscript(scene: Scene) -> Cause | None:
    """`features[4]` of a list, `x.shape[3]`, `x.split(4)[5]`, `outputs["feat"]`."""
    if scene.call != "subscript":
        return None
    value, place, count = str(scene.argument("value") or ""), scene.argument("place"), scene.argument("count")
    keys = scene.argument("keys")
    if isinstance(keys, list):
        there = ", ".join(repr(key) for key in keys)
        return Cause("index", f"{value} has no {place!r}: it has {there or 'nothing'}")
    shaped = re.fullmatch(r"(.*)\.(shape|size\(\))", value)
    tensor = next((operand for operand in scene.operands if shaped and operand.name == shaped[1]), None)
    if tensor is not None and type(place) is int:
        rank = place + 1 if place >= 0 else -place
        text = f"`{value}[{place}]` needs {axes_text(rank)}, {tensor.name} {shape_text(tensor.shape)} has "
        return Cause("wrong-rank", text + str(len(tensor.shape)), rank=rank)
    stage = next(made_by(scene, value), None)
    if (
        stage is not None
        and stage.inputs
        and type(place) is int
        and not -len(stage.outputs) <= place < len(stage.outputs)
    ):
        given, many = shape_text(stage.inputs[0].shape), len(stage.outputs)
        text = f"{stage.operation} of {given} gave {many} part{'s' * (many != 1)}, part {place} is asked for"
        return Cause("chunk", f"{text}: {there_are(many)}")
    if type(place) is int and type(count) is int:
        there_is = f"{count} value{'s' * (count != 1)}"
        return Cause("index", f"{value} has {there_is}, place {place} is asked for: {there_are(count)}")
    return None


def made_by(scene: Scene, value: str) -> Iterator[Stage]:
    """Stages that gave an expression's value: its own call, or the one that a variable is named after."""
    span = scene.failure.span
    text = plain(value)
    for stage in reversed(scene.trace.stages):
        source = stage.source
        if source is None or stage.kind == "input":
            continue
        near = span is not None and source.file == span.file and 0 <= span.line - source.line <= NEAR
        if near and (plain(source.text) == text or stage.name.split("#")[0].rpartition(".")[2] == value):
            yield stage


def plain(text: str) -> str:
    """An expression without what its spelling may differ in."""
    return "".join(text.split()).replace('"', "'")
