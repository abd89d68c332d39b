"""A parameter in another size: the one whose siblings have that size comes first. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isqrt

from vit_trace.base.trace import Parameter, Producer, Remedy, Trace, Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.causes import cause_of
from vit_trace.diagnose.producers import namesakes, siblings
from vit_trace.diagnose.scene import Cause, Scene, Side

LIKEWISE = ", likewise in the other blocks"


def resized(scene: Scene, cause: Cause, producers: Sequence[Producer]) -> Iterator[Remedy]:
    """The parameter on one side in the size of the other; first the one whose siblings have that size."""
    if len(cause.sides) != 2:
        return
    first, second = cause.sides
    options = [
        *options_of(scene, first, second.size, producers),
        *options_of(scene, second, first.size, producers),
    ]
    options.sort(key=lambda option: option[0])
    for _, remedy in options:
        yield remedy
        if (wider := everywhere(scene, remedy)) is not remedy:
            yield wider


def everywhere(scene: Scene, remedy: Remedy) -> Remedy:
    """The change made in the other blocks too, where they have the size that it changes; itself where none has."""
    values = dict(remedy.values)
    for name, shape in remedy.values.items():
        held = scene.parameters.get(name)
        path = name.rpartition(".")[0]
        if held is None or not isinstance(shape, list) or not name.startswith(f"{path}."):
            continue
        for one in namesakes(scene.parameters, name).values():
            other = one.name.rpartition(".")[0]
            if one.shape == held.shape:
                inside = [(key, value) for key, value in remedy.values.items() if key.startswith(f"{path}.")]
                values |= {f"{other}{key.removeprefix(path)}": value for key, value in inside}
    if len(values) == len(remedy.values):
        return remedy
    return Remedy(f"{remedy.change}{LIKEWISE}", "parameter", values)


def following(remedy: Remedy, scene: Scene, after: Trace) -> Remedy | None:
    """The change together with the next one, where with it the forward fails further on, for the same size again."""
    if after.failure is None or remedy.kind != "parameter":
        return None
    then = Scene(after, after.failure)
    for more in resized(then, cause_of(then), ()):
        if sizes(more, then) & sizes(remedy, scene) and not more.values.keys() & remedy.values.keys():
            text = f"{remedy.change.removesuffix(LIKEWISE)} and {more.change}"
            return Remedy(text, "parameter", {**remedy.values, **everywhere(then, more).values})
    return None


def other_blocks(scene: Scene, path: str) -> list[str]:
    """The paths of a module's namesakes in the other blocks."""
    inside = next((name for name in scene.parameters if name.startswith(f"{path}.")), "")
    ending = inside.removeprefix(path)
    names = [one.name for one in namesakes(scene.parameters, inside).values()] if inside else []
    return [name.removesuffix(ending) for name in names if name.endswith(ending)]


def sizes(remedy: Remedy, scene: Scene) -> set[tuple[int, int]]:
    """(from, to) of the sizes that a change changes."""
    found = set()
    for name, shape in remedy.values.items():
        held = scene.parameters.get(name)
        if held is not None and isinstance(shape, list):
            found |= {pair for pair in zip(held.shape, shape, strict=True) if pair[0] != pair[1]}
    return found


def options_of(scene: Scene, side: Side, size: int, producers: Sequence[Producer]) -> Iterator[tuple[int, Remedy]]:
    """(how odd it is, change) for the parameter that one side is, or that made it."""
    operand = side.operand
    if operand is not None and operand.parameter and side.axis is not None:
        held = scene.parameters.get(operand.parameter)
        turned = held is not None and held.shape != operand.shape and sorted(held.shape) == sorted(operand.shape)
        if held is not None and (len(held.shape) != len(operand.shape) or turned):
            yield from made_by_parameter(scene, operand.parameter, side.size, size)
            return
        cut = held is not None and held.shape != operand.shape
        if held is None or len(held.shape) <= side.axis or (cut and held.shape[side.axis] != side.size):
            return
        yield option(scene, held, side.axis, size)
        return
    for made in producers:
        if made.operand != side.name or made.size != side.size:
            continue
        if made.stage is None:
            yield from made_by_parameter(scene, made.name, made.size, size)
            continue
        stage = scene.trace.stages[made.stage]
        weight = scene.parameters.get(f"{stage.module}.weight" if stage.module else "weight")
        if stage.kind == "module" and weight is not None and weight.shape and weight.shape[0] == side.size:
            yield option(scene, weight, 0, size)


def made_by_parameter(scene: Scene, name: str, old: int, size: int) -> Iterator[tuple[int, Remedy]]:
    """A parameter that was repeated or turned on the way: the only axis of it that has the size."""
    held = scene.parameters.get(name)
    axes = [axis for axis, length in enumerate(held.shape) if length == old] if held is not None else []
    if held is not None and len(axes) == 1:
        yield option(scene, held, axes[0], size)


def option(scene: Scene, held: Parameter, axis: int, size: int) -> tuple[int, Remedy]:
    """(how odd it is, the parameter with another size on an axis)"""
    shape = [*held.shape[:axis], size, *held.shape[axis + 1 :]]
    return rank(scene, held.name, axis, size), parameter_change(scene, held.name, axis, shape)


def rank(scene: Scene, name: str, axis: int, size: int) -> int:
    """0 where the siblings have the new size, 1 where there are none, 2 where they have the old one."""
    others = siblings(scene.parameters, name, axis)
    if others is None or others.common is None:
        return 1
    return 0 if others.common == size else 2


SIZES_OF = {("Linear", 0): "out_features", ("Linear", 1): "in_features", ("Conv", 0): "out_channels"}
SIZES_OF |= {("Conv", 1): "in_channels", ("LayerNorm", 0): "normalized_shape", ("Embedding", 0): "num_embeddings"}
SIZES_OF |= {("BatchNorm", 0): "num_features", ("GroupNorm", 0): "num_channels"}


def parameter_change(scene: Scene, name: str, axis: int, shape: list[int]) -> Remedy:
    """One parameter in another size, and the others of its module that have to follow."""
    path, _, attribute = name.rpartition(".")
    if attribute == "in_proj_weight":
        return attention_change(scene, path, shape[axis])
    old = scene.parameters[name].shape[axis]
    values: dict[str, Value] = {name: shape}
    kind = next(
        (stage.operation for stage in scene.trace.stages if stage.kind == "module" and stage.module == path), ""
    )
    if attribute in ("weight", "bias") and path:
        transposed = kind.startswith("ConvTranspose")
        if axis == 0 and not transposed:
            for other in ("weight", "bias"):
                held = scene.parameters.get(f"{path}.{other}")
                if held is not None and held.shape[:1] == (old,):
                    values[held.name] = [shape[0], *held.shape[1:]]
            if kind.startswith("BatchNorm"):
                values |= {f"{path}.running_{name}": [shape[0]] for name in ("mean", "var")}
        side = 1 - axis if transposed and axis < 2 else axis
        word = next((word for (start, at), word in SIZES_OF.items() if kind.startswith(start) and at == side), "")
        words = f"{path} with {word} {shape[axis]}" if word else f"{name} as {shape_text(shape)}"
        return Remedy(words, "parameter", values)
    if "pos" in name and axis == max(len(shape) - 2, 0) and both_grids(old, shape[axis]):
        return Remedy(f"{name} interpolated from {grid_text(old)} to {grid_text(shape[axis])}", "parameter", values)
    return Remedy(f"{name} as {shape_text(shape)}", "parameter", values)


def both_grids(one: int, two: int) -> bool:
    """Whether two numbers of positions are square grids, with as many tokens beside them."""
    pairs = [(one - more, two - more) for more in range(min(6, one, two))]
    return any(isqrt(first) ** 2 == first > 1 and isqrt(second) ** 2 == second > 1 for first, second in pairs)


def attention_change(scene: Scene, path: str, width: int) -> Remedy:
    """nn.MultiheadAttention of another width, with as many heads."""
    shapes: dict[str, list[int]] = {"in_proj_weight": [3 * width, width], "in_proj_bias": [3 * width]}
    shapes |= {"out_proj.weight": [width, width], "out_proj.bias": [width]}
    heads = scene.integer("[4]", "num_heads", default=1)
    values: dict[str, Value] = {
        f"{path}.{name}": shape for name, shape in shapes.items() if f"{path}.{name}" in scene.parameters
    }
    values |= {f"{path}.{name}": width for name in ("embed_dim", "kdim", "vdim")} | {f"{path}.head_dim": width // heads}
    return Remedy(f"{path} with embed_dim {width}", "parameter", values)


def grid_text(count: int) -> str:
    return f"{count} position{'s' * (count != 1)}"
