"""Configs of well-known repositories, read as models of installed libraries: Swin and SimMIM (YACS), DINOv2, MAE."""

from __future__ import annotations

import re

from vit_trace.config.tree import child, text_at, text_node
from vit_trace.config.words import Node
from vit_trace.targets.model_found import Form, ModelFound, Standing, refused

SWIN = dict(IMG_SIZE="img_size", PATCH_SIZE="patch_size", IN_CHANS="in_chans", EMBED_DIM="embed_dim", DEPTHS="depths")
SWIN |= dict(NUM_HEADS="num_heads", WINDOW_SIZE="window_size", MLP_RATIO="mlp_ratio", QKV_BIAS="qkv_bias")
SWIN |= dict(DROP_RATE="drop_rate", DROP_PATH_RATE="drop_path_rate", NUM_CLASSES="num_classes", DEPTH="depth")
"""Keys of these configs, in DATA, MODEL and MODEL.<TYPE>, with timm's names for them."""

TYPES = {
    "swin": "timm.models.swin_transformer:SwinTransformer",
    "swinv2": "timm.models.swin_transformer_v2:SwinTransformerV2",
    "vit": "timm.models.vision_transformer:VisionTransformer",
    "deit": "timm.models.vision_transformer:VisionTransformer",
}
"""MODEL.TYPE with timm's class of that architecture."""

NOT_OF = {"swin": ("depth",), "swinv2": ("depth",), "vit": ("depths", "window_size"), "deit": ("depths", "window_size")}
"""Arguments that the class of a type does not take."""

VIT = "timm.models.vision_transformer:VisionTransformer"
ARCHES = {"small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}
ARCHES |= {"huge": (1280, 32, 16), "giant2": (1536, 40, 24)}
"""Embedding dimension, layers and heads of the named sizes."""


def _of_repository(mapping: Node, site: Standing) -> ModelFound | None:
    return _yacs(mapping) or _dinov2(mapping) or _mae(mapping)


def _yacs(mapping: Node) -> ModelFound | None:
    model = child(mapping, "MODEL")
    kind = text_at(model, "TYPE").lower()
    if model is None or kind not in TYPES:
        return None
    type_node, own = child(model, "TYPE"), child(model, kind.upper()) or child(model, kind)
    assert type_node is not None
    settings = {}
    for part in (child(mapping, "DATA"), model, own):
        for key, value in part.entries if part is not None else ():
            name = SWIN.get(key.text.upper())
            if name is not None and value.kind != "mapping" and name not in NOT_OF[kind]:
                settings[name] = value
    return ModelFound(TYPES[kind], type_node.span, settings)


def _dinov2(mapping: Node) -> ModelFound | None:
    student = child(mapping, "student")
    arch = re.fullmatch(r"vit_(\w+)", text_at(student, "arch"))
    if student is None or arch is None or arch[1] not in ARCHES:
        return None
    at = child(student, "arch")
    assert at is not None
    if (layer := child(student, "ffn_layer")) is not None and layer.text.startswith("swiglu"):
        message = f"ffn_layer {layer.text} of DINOv2 has no equal in timm's VisionTransformer"
        return refused("unknown-model", message, layer.span, f"vit-trace models 'timm:*{arch[1].rstrip('2')}*dinov2*'")
    names = {"patch_size": "patch_size", "num_register_tokens": "reg_tokens", "drop_path_rate": "drop_path_rate"}
    names |= {"layerscale": "init_values", "qkv_bias": "qkv_bias"}
    settings = _sizes(arch[1], at, ("embed_dim", "depth", "num_heads"))
    settings |= {names[key.text]: value for key, value in student.entries if key.text in names}
    if (image := child(mapping, "crops", "global_crops_size")) is not None:
        settings["img_size"] = image
    return ModelFound(VIT, at.span, {**settings, "num_classes": text_node(0, at.span)})


def _mae(mapping: Node) -> ModelFound | None:
    name = child(mapping, "model")
    found = re.fullmatch(r"mae_vit_(base|large|huge)_patch(\d+)(_dec512d8b)?", text_at(mapping, "model"))
    if name is None or found is None:
        return None
    settings = _sizes(found[1], name, ("hidden_size", "num_hidden_layers", "num_attention_heads"))
    settings["intermediate_size"] = text_node(4 * ARCHES[found[1]][0], name.span)
    settings["patch_size"] = text_node(int(found[2]), name.span)
    for own, passed in (("input_size", "image_size"), ("mask_ratio", "mask_ratio"), ("norm_pix_loss", "norm_pix_loss")):
        if (value := child(mapping, own)) is not None:
            settings[passed] = value
    return ModelFound("hf:ViTMAEForPreTraining", name.span, settings)


def _sizes(arch: str, at: Node, names: tuple[str, ...]) -> dict[str, Node]:
    return {name: text_node(size, at.span) for name, size in zip(names, ARCHES[arch], strict=True)}


FORM = Form(_of_repository, 2)
