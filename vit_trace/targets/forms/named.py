"""A mapping that names a model of a library, with its settings beside the name."""

from __future__ import annotations

import re

from vit_trace.config.tree import child, text_at
from vit_trace.config.words import Node
from vit_trace.targets.called import named_model, of_hub
from vit_trace.targets.defined import scanned_names
from vit_trace.targets.libraries import prefixes
from vit_trace.targets.model_found import Form, ModelFound, Standing, is_empty

KEYS = tuple(
    "name model_name model arch architecture backbone backbone_name model_type type encoder encoder_name timm_model net"
    " network variant vit timm_name _name_ NAME".split()
)
"""Keys under which a config names a model, the likeliest first."""

BESIDE = ("kwargs", "model_kwargs", "args", "params", "model_args", "backbone_kwargs")
"""Keys of mappings with further settings."""

TAKEN = {
    "timm": "num_classes in_chans global_pool drop_rate drop_path_rate patch_size embed_dim depth depths num_heads"
    " mlp_ratio qkv_bias reg_tokens class_token dynamic_img_size window_size init_values",
    "torchvision": "num_classes dropout attention_dropout stochastic_depth_prob",
}
"""Settings that the models of a library take; any other key beside a name is left alone."""

IMAGE = ("img_size", "image_size", "input_size")
"""Settings that say how large the images are."""

HUB_KEYS = (
    *("pretrained_model_name_or_path", "model_name_or_path", "hf_model", "hf_model_name", "pretrained_model"),
    *("checkpoint", "model_id", "pretrained", "backbone_checkpoint", *KEYS),
)
"""Keys under which a config names a model on the hub."""

ON_HUB = re.compile(r"[\w.-]+/[\w.-]*(vit|deit|beit|swin|dino|clip|siglip|mae|pvt|segformer|trocr|donut)[\w.-]*", re.I)
"""A name on the hub that is one of an image model."""

WORD = re.compile(r"[A-Za-z][\w.]*(?:[:/][\w./]+)?")


def _named(mapping: Node, site: Standing) -> ModelFound | None:
    for key in KEYS:
        node = child(mapping, key)
        if node is None or not text_at(mapping, key) or not WORD.fullmatch(node.text) or len(node.text) > 100:
            continue
        if (prefix := _library_of(node.text)) is not None:
            return _with_settings(mapping, node, prefix)
    name = next((child(mapping, key) for key in HUB_KEYS if ON_HUB.fullmatch(text_at(mapping, key))), None)
    return of_hub(name) if name is not None else None


def _library_of(name: str) -> str | None:
    """The library that has a model of that name, which may say so itself."""
    first = re.split("[.:/]", name)[0]
    for prefix in prefixes():
        if first == prefix and prefix != "hf" and name != first:
            return prefix
    base = name.partition(".")[0]
    looks = "_" in base or any(sign.isdigit() for sign in base)
    return next((one for one in ("timm", "torchvision") if looks and base in scanned_names(one)), None)


def _with_settings(mapping: Node, node: Node, prefix: str) -> ModelFound:
    plain = node
    if prefix == "torchvision" and node.text.startswith("torchvision."):
        plain = node._replace(text=node.text.rpartition(".")[2])
    elif node.text.startswith(f"{prefix}."):
        plain = node._replace(text=node.text.removeprefix(f"{prefix}.").removeprefix("models."))
    taken = TAKEN[prefix].split() if prefix in TAKEN else ()
    settings = {key.text: one for key, one in mapping.entries if key.text in taken and not is_empty(one)}
    image = next((one for key, one in mapping.entries if key.text in IMAGE and not is_empty(one)), None)
    for beside in BESIDE:
        more = child(mapping, beside)
        settings |= {key.text: one for key, one in more.entries} if more is not None else {}
    found = named_model(prefix, plain, settings)
    return ModelFound(found.spec, node.span, found.settings, image, child(mapping, "batch_size"))


FORM = Form(_named, 8, sure=False)
