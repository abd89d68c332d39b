"""Layers given what they were not built for: linear, convolution, norm, attention width, embedding, dtype."""

from __future__ import annotations

from math import prod

from msgspec.structs import replace

from vit_trace.base.trace import Operand
from vit_trace.base.words import product_text, shape_text
from vit_trace.diagnose.scene import Cause, Scene, Side, axes_text, called, side

CONVOLUTIONS = {f"conv{kind}{dims}d" for kind in ("", "_transpose") for dims in (1, 2, 3)}
NORMS = {"layer_norm", "rms_norm", "batch_norm", "group_norm", "instance_norm"}
CONTRACTIONS = {"linear", "matmul", "bmm", "mm", "addmm", "baddbmm", "einsum", "scaled_dot_product_attention"}
CONTRACTIONS |= CONVOLUTIONS | {"bilinear", "multi_head_attention_forward"}
WEIGHTED = CONTRACTIONS | NORMS
FLOATS = {"float16", "bfloat16", "float32", "float64"}


def layer_of(operand: Operand, scene: Scene) -> str:
    """blocks.1.mlp.2 for its weight; the function's name where the weight is no parameter."""
    return operand.parameter.rpartition(".")[0] or operand.parameter or scene.layer


def input_name(scene: Scene, operand: Operand) -> str:
    name = called(operand)
    return "its input" if name in ("input", "the tensor") else name


def linear(scene: Scene) -> Cause | None:
    """x @ weight.T: x's last size is in_features."""
    if scene.call != "linear" or len(scene.operands) < 2:
        return None
    x, weight = scene.operands[:2]
    if not x.shape or len(weight.shape) != 2 or x.shape[-1] == weight.shape[1]:
        return None
    layer = layer_of(weight, scene)
    name, given = attended(scene, x) or (input_name(scene, x), x)
    text = f"{layer} takes {weight.shape[1]} features, {name} {shape_text(given.shape)} has {x.shape[-1]}"
    notes = (flattened(given, weight.shape[1]),)
    return Cause("linear", text, tuple(filter(None, notes)), (side(x, -1, name), side(weight, 1, layer)))


def attended(scene: Scene, x: Operand) -> tuple[str, Operand] | None:
    """Inside nn.MultiheadAttention: which of its inputs a tensor is, and that as it was handed in."""
    stage = scene.stage
    if stage is not None and stage.operation != "MultiheadAttention":
        stage = scene.trace.stages[stage.parent] if stage.parent is not None else None
    if stage is None or stage.operation != "MultiheadAttention":
        return None
    for name, spec in zip(("query", "key", "value"), stage.inputs, strict=False):
        if spec.shape[-1:] == x.shape[-1:] and sorted(spec.shape) == sorted(x.shape):
            return f"its {name}", replace(x, shape=spec.shape, dims=spec.dims)
    return None


def flattened(x: Operand, wanted: int) -> str:
    """A hint that axes were not flattened, or in another place."""
    for start in range(1, len(x.shape)):
        if prod(x.shape[start:]) == wanted and start < len(x.shape) - 1:
            return f"{wanted} = {product_text(x.shape[start:])}: the last {len(x.shape) - start} axes, not flattened"
    return place_of(x, wanted)


def place_of(x: Operand, wanted: int) -> str:
    """Where the size stands that a layer wants elsewhere: on any axis but the batch."""
    place = next((axis for axis, size in enumerate(x.shape) if size == wanted and axis), None)
    return f"{wanted} stands on axis {place} of {shape_text(x.shape)}" if place is not None else ""


def convolution(scene: Scene) -> Cause | None:
    """Channels, rank, and a kernel that is larger than what it slides over."""
    if scene.call not in CONVOLUTIONS or len(scene.operands) < 2:
        return None
    x, weight = scene.operands[:2]
    space = int(scene.call[-2])
    if len(weight.shape) != space + 2:
        return Cause(
            "wrong-rank",
            f"{scene.call} takes a kernel with {axes_text(space + 2)}, {called(weight)} has {len(weight.shape)}",
        )
    layer = layer_of(weight, scene)
    name = input_name(scene, x)
    if len(x.shape) not in (space + 1, space + 2):
        text = f"{layer} takes {axes_text(space + 2)} (batch, channels, space), {name} {shape_text(x.shape)} has "
        return Cause("wrong-rank", text + str(len(x.shape)), rank=space + 2)
    if 0 in weight.shape[2:]:
        return Cause("kernel", f"{layer} has a kernel of {shape_text(weight.shape[2:])}: it sees nothing")
    strides = scene.argument("[3]", "stride")
    if any(step == 0 for step in (strides if isinstance(strides, list) else [strides])):
        return Cause("kernel", f"{layer} has a stride of 0: its kernel never moves")
    transposed = "transpose" in scene.call
    groups = scene.integer("[7]" if transposed else "[6]", "groups", default=1)
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    if x.shape[-space - 1] != channels:
        grouped = f" ({groups} groups of {channels // groups})" if groups > 1 else ""
        text = f"{layer} takes {channels} channels{grouped}, {name} {shape_text(x.shape)} has {x.shape[-space - 1]}"
        wants = side(weight, 0 if transposed else 1, layer) if groups == 1 else Side(None, None, channels, layer)
        return Cause("conv-channels", text, sides=(side(x, -space - 1, name), wants))
    if not transposed and any(size < kernel for size, kernel in zip(x.shape[-space:], weight.shape[2:], strict=True)):
        text = f"the kernel {shape_text(weight.shape[2:])} of {layer} is larger than {name} {shape_text(x.shape)}"
        return Cause("kernel", text, sides=(side(x, -1, name), side(weight, -1, layer)), divisor=weight.shape[-1])
    return None


def attention_masks(scene: Scene, layer: str) -> Cause | None:
    """The masks of nn.MultiheadAttention: keys per image, queries × keys."""
    query, key = scene.operands[0].shape, scene.operands[1].shape  # tokens first
    if len(query) != 3 or len(key) != 3:
        return None
    if query[1] != key[1]:
        text = f"{layer} is given {query[1]} sequences of queries and {key[1]} of keys"
        return Cause("attention-mask", text, ("batch_first says whether the batch stands in front",))
    heads = scene.integer("[4]", "num_heads", default=1)
    for name, allowed in (
        ("key_padding_mask", [(query[1], key[0])]),
        ("attn_mask", [(query[0], key[0]), (query[1] * heads, query[0], key[0])]),
    ):
        mask = next((operand for operand in scene.operands if operand.name.rpartition(".")[2] == name), None)
        if mask is not None and mask.shape not in allowed:
            wanted = " or ".join(shape_text(shape) for shape in allowed)
            meant = "batch × keys" if name == "key_padding_mask" else "queries × keys, or batch·heads in front of them"
            text = f"{layer} takes {name} of {wanted}, it is {shape_text(mask.shape)}"
            return Cause("attention-mask", text, (f"that is {meant}",))
    return None


def batches_apart(scene: Scene) -> Cause | None:
    """nn.MultiheadAttention whose queries and keys are of different batches: it stumbles over a view of its own."""
    if scene.call not in ("view", "reshape") or scene.stage is None or scene.stage.parent is None:
        return None
    around = scene.trace.stages[scene.stage.parent]
    given = [spec.shape for spec in around.inputs[:2]]
    if around.operation != "MultiheadAttention" or [len(shape) for shape in given] != [3, 3]:
        return None
    (first, second), name = given, around.module
    if first[:2] == second[:2]:
        return None
    text = f"{name} is given a query of {shape_text(first)} and a key of {shape_text(second)}: their batches differ"
    return Cause(
        "attention-mask", text, ("without batch_first=True the first axis is for tokens, the second the batch",)
    )


def padding(scene: Scene) -> Cause | None:
    """nn.TransformerEncoder, which packs its tokens by src_key_padding_mask."""
    if not scene.call.startswith("nested_tensor_from_mask") or len(scene.operands) < 2:
        return None
    x, mask = scene.operands[0].shape, scene.operands[1].shape
    if mask == x[:2]:
        return None
    text = f"src_key_padding_mask is {shape_text(mask)}, the tokens are {shape_text(x)}: it has to be "
    return Cause("attention-mask", f"{text}{shape_text(x[:2])}")


def as_given(scene: Scene, x: Operand) -> Operand:
    """The input of a layer as it was handed in: inside, batch and tokens change places."""
    given = scene.stage.inputs[0] if scene.stage is not None and scene.stage.inputs else None
    if given is None or sorted(given.shape) != sorted(x.shape):
        return x
    return replace(x, shape=given.shape, dims=given.dims)


def normalisation(scene: Scene) -> Cause | None:
    """layer_norm's trailing sizes, the channels of batch_norm and group_norm."""
    x = scene.tensor(0)
    if x is None and scene.stage is not None and scene.stage.inputs:
        spec = scene.stage.inputs[0]
        x = Operand("input", spec.shape, spec.dims, spec.dtype)
    operation = scene.stage.operation if scene.stage is not None else ""
    if x is None:
        return None
    name = input_name(scene, x)
    layer = scene.layer
    if not x.shape and scene.call in NORMS:
        return Cause("wrong-rank", f"{layer} is given a single number, which has no axis to normalise", rank=1)
    if scene.call in ("layer_norm", "rms_norm"):
        wanted = scene.sizes("normalized_shape")
        if wanted and x.shape[len(x.shape) - len(wanted) :] != wanted:
            text = f"{layer} normalises {shape_text(wanted)} features, {name} {shape_text(x.shape)} ends in "
            text += shape_text(x.shape[len(x.shape) - len(wanted) :])
            weight = next((operand for operand in scene.operands[1:2]), None)
            other = side(weight, -1, layer) if weight and weight.shape else Side(None, None, wanted[-1], layer)
            notes = tuple(filter(None, [place_of(x, wanted[-1])]))
            return Cause("norm-size", text, notes, (side(x, -1, name), other))
    if operation.startswith(("BatchNorm", "InstanceNorm")) and operation[-2:-1].isdigit():
        space = int(operation[-2])
        allowed = (2, 3) if space == 1 else (space + 2,)
        if len(x.shape) not in allowed:
            text = f"{layer} ({operation}) takes {axes_text(allowed[-1])}, {name} {shape_text(x.shape)} has "
            return Cause("wrong-rank", text + str(len(x.shape)), rank=allowed[-1])
    return channelwise(scene, x, name, layer)


def channelwise(scene: Scene, x: Operand, name: str, layer: str) -> Cause | None:
    """batch_norm and group_norm: one number per channel."""
    if scene.call not in ("batch_norm", "group_norm", "instance_norm") or len(x.shape) < 2:
        return None
    held = [operand for operand in scene.operands[1:] if len(operand.shape) == 1]
    weight = next((operand for operand in held if operand.parameter.endswith("weight")), held[0] if held else None)
    groups = scene.integer("[1]", "num_groups", default=1) if scene.call == "group_norm" else 1
    if groups < 1:
        return Cause("norm-size", f"{layer} has {groups} groups: one or more are wanted")
    if x.shape[1] % groups:
        text = f"{layer} has {groups} groups, which do not divide the {x.shape[1]} channels of {name}"
        return Cause("norm-size", text, sides=(side(x, 1, name),), divisor=groups)
    if weight is not None and weight.shape[0] != x.shape[1]:
        text = f"{layer} normalises {weight.shape[0]} channels, {name} {shape_text(x.shape)} has {x.shape[1]}"
        notes = tuple(filter(None, [place_of(x, weight.shape[0])]))
        return Cause("norm-size", text, notes, (side(x, 1, name), side(weight, 0, layer)))
    return None


def attention_width(scene: Scene) -> Cause | None:
    """nn.MultiheadAttention: the width it was built for."""
    if scene.call != "multi_head_attention_forward" or len(scene.operands) < 3:
        return None
    x = as_given(scene, scene.operands[0])
    width = scene.integer("[3]", "embed_dim_to_check", default=0)
    if not x.shape or not width:
        return None
    layer = scene.layer
    if len(x.shape) not in (2, 3):
        text = f"{layer} takes 3 axes (batch, tokens, width), {input_name(scene, x)} is {shape_text(x.shape)}"
        return Cause("wrong-rank", text, rank=3)
    if x.shape[-1] == width:
        return attention_masks(scene, layer)
    weight = next((operand for operand in scene.operands if operand.parameter.endswith("in_proj_weight")), None)
    other = side(weight, 1, layer) if weight else Side(None, None, width, layer)
    text = f"{layer} is built for width {width}, {input_name(scene, x)} {shape_text(x.shape)} has {x.shape[-1]}"
    return Cause("attention-width", text, sides=(side(x, -1, input_name(scene, x)), other))


def dtypes(scene: Scene) -> Cause | None:
    """Operands of a product that are of two dtypes: torch does not convert them."""
    if scene.call not in WEIGHTED:
        return None
    return dtype_clash(scene.call, scene.layer, scene.operands)


def dtype_clash(call: str, layer: str, operands: tuple[Operand, ...]) -> Cause | None:
    """What a real run refuses, though shapes alone would do."""
    x = operands[0] if operands else None
    others = [operand for operand in operands[1:] if operand.dtype in FLOATS]
    if x is None or not others:
        return None
    name = "its input" if called(x) in ("input", "the tensor") else called(x)
    if x.dtype not in FLOATS and not x.dtype.startswith("complex"):
        weight = others[0]
        return Cause("dtype", f"{layer} holds {weight.dtype}, {name} is {x.dtype}: whole numbers are not converted")
    if call not in CONTRACTIONS:
        return None
    odd = next((operand for operand in others if operand.dtype != x.dtype), None)
    if odd is None:
        return None
    what = f"{layer} holds {odd.dtype}" if odd.parameter else f"{called(odd)} is {odd.dtype}"
    return Cause("dtype", f"{what}, {name} is {x.dtype}")
