"""Resizes parameters: the one whose siblings have the new size comes first. No torch."""

from collections.abc import Iterator, Mapping, Sequence
from math import isqrt
from typing import TypeVar

from vit_trace.base.trace import Parameter, Producer, Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.changes.records import ParameterResize, size_attribute
from vit_trace.diagnose.producers import namesakes, siblings
from vit_trace.diagnose.scene import Scene, Shape, Side

T = TypeVar("T")
LIKEWISE = ", likewise in the other blocks"


def resized(question: Question) -> Iterator[ParameterResize]:
    """Resizes the parameter on one side to the size of the other, first the one whose siblings have that size."""
    scene, producers = question.scene, question.producers
    if len(question.cause.sides) != 2:
        return
    first, second = question.cause.sides
    options = [*_options_of(scene, first, second.size, producers), *_options_of(scene, second, first.size, producers)]
    options.sort(key=lambda option: option[0])
    for _, change in options:
        yield change
        if (wider := everywhere(scene, change)) is not change:
            yield wider


def everywhere(scene: Scene, change: ParameterResize) -> ParameterResize:
    """The change made in the other blocks too, where they have the size that it changes; itself where none has."""
    shapes, attributes = dict(change.shapes), dict(change.attributes)
    for name in change.shapes:
        held, path = scene.parameters.get(name), name.rpartition(".")[0]
        if held is None or not path:
            continue
        for one in namesakes(scene.parameters, name).values():
            if one.shape == held.shape:
                other = one.name.rpartition(".")[0]
                shapes |= under(change.shapes, path, other)
                attributes |= under(change.attributes, path, other)
    if len(shapes) == len(change.shapes):
        return change
    return ParameterResize(f"{change.text}{LIKEWISE}", attributes, shapes)


def under(values: Mapping[str, T], path: str, other: str) -> dict[str, T]:
    """What a module's names hold, by the same names of another module."""
    return {f"{other}{name.removeprefix(path)}": value for name, value in values.items() if name.startswith(f"{path}.")}


def other_blocks(scene: Scene, path: str) -> list[str]:
    """The paths of a module's namesakes in the other blocks."""
    inside = max((name for name in scene.parameters if name.startswith(f"{path}.")), key=_depth, default="")
    ending = inside.removeprefix(path)
    names = [one.name for one in namesakes(scene.parameters, inside).values()] if inside else []
    return [name.removesuffix(ending) for name in names if name.endswith(ending)]


def _depth(name: str) -> int:
    return name.count(".")


def sizes_changed(change: ParameterResize, scene: Scene) -> set[tuple[int, int]]:
    """(from, to) of the sizes that a change changes."""
    held = ((scene.parameters[name].shape, shape) for name, shape in change.shapes.items() if name in scene.parameters)
    return {pair for old, new in held for pair in zip(old, new, strict=True) if pair[0] != pair[1]}


def _options_of(
    scene: Scene, side: Side, size: int, producers: Sequence[Producer]
) -> Iterator[tuple[int, ParameterResize]]:
    """(how odd it is, change) for the parameter that one side is, or that made it."""
    operand = side.operand
    if operand is not None and operand.parameter and side.axis is not None:
        held = scene.parameters.get(operand.parameter)
        turned = held is not None and held.shape != operand.shape and sorted(held.shape) == sorted(operand.shape)
        if held is not None and (len(held.shape) != len(operand.shape) or turned):
            yield from _made_by_parameter(scene, operand.parameter, side.size, size)
            return
        cut = held is not None and held.shape != operand.shape
        if held is None or len(held.shape) <= side.axis or (cut and held.shape[side.axis] != side.size):
            return
        yield _option(scene, held, side.axis, size)
        return
    for made in producers:
        if made.operand != side.name or made.size != side.size:
            continue
        if made.stage is None:
            yield from _made_by_parameter(scene, made.name, made.size, size)
            continue
        stage = scene.trace.stages[made.stage]
        weight = scene.parameters.get(f"{stage.module}.weight" if stage.module else "weight")
        axis = _axis_made(stage.operation)
        if stage.kind == "module" and weight is not None and weight.shape[axis : axis + 1] == (side.size,):
            yield _option(scene, weight, axis, size)


def _made_by_parameter(scene: Scene, name: str, old: int, size: int) -> Iterator[tuple[int, ParameterResize]]:
    """A parameter that was repeated or turned on the way: the only axis of it that has the size."""
    held = scene.parameters.get(name)
    axes = [axis for axis, length in enumerate(held.shape) if length == old] if held is not None else []
    if held is not None and len(axes) == 1:
        yield _option(scene, held, axes[0], size)


def _option(scene: Scene, held: Parameter, axis: int, size: int) -> tuple[int, ParameterResize]:
    """(0 where the siblings have the new size, 1 where there are none, 2 where they have the old one; the change)"""
    others = siblings(scene.parameters, held.name, axis)
    rank = 1 if others is None or others.common is None else 0 if others.common == size else 2
    square = {len(held.shape) - 2, len(held.shape) - 1} if held.shape[-2:] == held.shape[axis : axis + 1] * 2 else set()
    table = square if axis in square and not held.name.endswith("weight") else {axis}  # biases of tokens × tokens
    shape = tuple(size if place in table else length for place, length in enumerate(held.shape))
    return rank, _parameter_change(scene, held.name, axis, shape)


def _parameter_change(scene: Scene, name: str, axis: int, shape: Shape) -> ParameterResize:
    """One parameter in another size, and the others of its module that have to follow."""
    path, _, attribute = name.rpartition(".")
    if attribute == "in_proj_weight":
        return _attention_change(scene, path, shape[axis])
    old = scene.parameters[name].shape[axis]
    if attribute in ("weight", "bias") and path:
        layers = (stage for stage in scene.trace.stages if stage.kind == "module" and stage.module == path)
        layer = next((stage.operation for stage in layers), "")
        shapes = {name: shape}
        places = {"weight": _axis_made(layer), "bias": 0}
        if axis == places[attribute]:
            size = shape[axis]
            rows = ((scene.parameters.get(f"{path}.{name}"), place) for name, place in places.items())
            shapes |= {
                one.name: (*one.shape[:place], size, *one.shape[place + 1 :])
                for one, place in rows
                if one is not None and one.shape[place : place + 1] == (old,)
            }
            if layer.startswith("BatchNorm"):
                shapes |= {f"{path}.running_{name}": shape[:1] for name in ("mean", "var")}
        word = size_attribute(layer, axis)
        given = shape_text(shape) if layer == "LayerNorm" else shape[axis]
        text = f"{path} with {word} {given}" if word else f"{name} as {shape_text(shape)}"
        return ParameterResize(text, shapes=shapes)
    text = f"{name} as {shape_text(shape)}"
    if "pos" in name and axis == max(len(shape) - 2, 0) and _both_grids(old, shape[axis]):
        text = f"{name} interpolated from {_grid_text(old)} to {_grid_text(shape[axis])}"
    return ParameterResize(text, shapes={name: shape})


def _axis_made(layer: str) -> int:
    """The axis of a layer's weight that counts what the layer gives."""
    return 1 if layer.startswith("ConvTranspose") else 0


def _both_grids(one: int, two: int) -> bool:
    """Whether two numbers of positions are square grids, with as many tokens beside them."""
    pairs = [(one - more, two - more) for more in range(min(6, one, two))]
    return any(isqrt(first) ** 2 == first > 1 and isqrt(second) ** 2 == second > 1 for first, second in pairs)


def _attention_change(scene: Scene, path: str, width: int) -> ParameterResize:
    """nn.MultiheadAttention of another width, with as many heads."""
    shapes = {"in_proj_weight": (3 * width, width), "in_proj_bias": (3 * width,)}
    shapes |= {"out_proj.weight": (width, width), "out_proj.bias": (width,)}
    heads = scene.integer("[4]", "num_heads", default=1)
    attributes: dict[str, Value] = {f"{path}.{name}": width for name in ("embed_dim", "kdim", "vdim")}
    attributes[f"{path}.head_dim"] = width // heads
    held = {f"{path}.{name}": shape for name, shape in shapes.items() if f"{path}.{name}" in scene.parameters}
    return ParameterResize(f"{path} with embed_dim {width}", attributes, held)


def _grid_text(count: int) -> str:
    return f"{count} position{'s' * (count != 1)}"
