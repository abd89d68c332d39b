"""A parameter in another size: the one whose siblings have that size comes first. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vit_trace.checks.producers import siblings
from vit_trace.checks.scene import Cause, Scene, Side, shape_text
from vit_trace.tracing.schema import Producer, Remedy, Value


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


def options_of(scene: Scene, side: Side, size: int, producers: Sequence[Producer]) -> Iterator[tuple[int, Remedy]]:
    """(how odd it is, change) for the parameter that one side is, or that made it."""
    operand = side.operand
    if operand is not None and operand.parameter and side.axis is not None:
        held = scene.parameters.get(operand.parameter)
        cut = held is not None and held.shape != operand.shape
        if held is None or len(held.shape) <= side.axis or (cut and held.shape[side.axis] != side.size):
            return
        shape = [*held.shape[: side.axis], size, *held.shape[side.axis + 1 :]]
        yield (
            rank(scene, operand.parameter, side.axis, size),
            parameter_change(scene, operand.parameter, side.axis, shape),
        )
        return
    for made in producers:
        if made.operand != side.name or made.size != side.size or made.stage is None:
            continue
        stage = scene.trace.stages[made.stage]
        weight = scene.parameters.get(f"{stage.module}.weight" if stage.module else "weight")
        if stage.kind == "module" and weight is not None and weight.shape and weight.shape[0] == side.size:
            shape = [size, *weight.shape[1:]]
            yield rank(scene, weight.name, 0, size), parameter_change(scene, weight.name, 0, shape)


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
        if axis == 0:
            for other in ("weight", "bias"):
                held = scene.parameters.get(f"{path}.{other}")
                if held is not None and held.shape[:1] == (old,):
                    values[held.name] = [shape[0], *held.shape[1:]]
            if kind.startswith("BatchNorm"):
                values |= {f"{path}.running_{name}": [shape[0]] for name in ("mean", "var")}
        word = next((word for (start, at), word in SIZES_OF.items() if kind.startswith(start) and at == axis), "")
        words = f"{path} with {word} {shape[axis]}" if word else f"{name} as {shape_text(shape)}"
        return Remedy(words, "parameter", values)
    if "pos" in name:
        return Remedy(f"{name} interpolated from {grid_text(old)} to {grid_text(shape[axis])}", "parameter", values)
    return Remedy(f"{name} as {shape_text(shape)}", "parameter", values)


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
