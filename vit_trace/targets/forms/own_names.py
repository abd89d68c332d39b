"""A mapping of hyperparameters alone: the built-in ViT's, or those of a class that has all of their names."""

from __future__ import annotations

import re
from difflib import get_close_matches

from vit_trace.base.roles import ROLES, SETTINGS
from vit_trace.config.hyperparameters import KEYS, OTHER_NAMES
from vit_trace.config.tree import YAML, text_at
from vit_trace.config.words import Entry, Node
from vit_trace.targets.model_found import Form, ModelFound, Standing, refused

CORE = ("patch_size", "dim", "depth", "heads", "mlp_dim", "dim_head")
"""Hyperparameters that only a Vision Transformer has, or few other models."""

CLASSES = {
    "timm.models.vision_transformer:VisionTransformer": "img_size patch_size in_chans num_classes global_pool embed_dim"
    " depth num_heads mlp_ratio qkv_bias drop_rate pos_drop_rate drop_path_rate reg_tokens class_token init_values",
    "torchvision.models.vision_transformer:VisionTransformer": "image_size patch_size num_layers num_heads hidden_dim"
    " mlp_dim dropout attention_dropout num_classes representation_size",
    "hf:ViTForImageClassification": "hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act"
    " hidden_dropout_prob attention_probs_dropout_prob image_size patch_size num_channels num_labels qkv_bias",
}
"""Classes with the names of what they take."""

SIZES = {name for names in (ROLES | SETTINGS).values() for name in names} - set(SETTINGS["batch"])
SIZES |= {"mlp_ratio"}
NOT_SIZES = set("size image input resolution width hidden stages layers drop pool classes crop_size".split())
"""Names that as often mean something else beside a model's hyperparameters."""

TYPE_KEYS = (
    "_target_",
    "class_path",
    "name",
    "type",
    "model",
    "arch",
    "architecture",
    "model_name",
    "model_type",
    "_name_",
)
"""Keys that say what a mapping configures."""

VIT_LIKE = re.compile(r"(?<![a-z])(vit|Vit|VIT)|ViT|[Tt]ransformer")

FEWEST = 3
"""Names of one library from which a mapping without a name of its model is taken for one of that library."""

LIKENESS = 0.8
"""Ratio of difflib's matching from which a key counts as a misspelt hyperparameter."""


def _own_names(mapping: Node, site: Standing) -> ModelFound | None:
    said = next((text_at(mapping, key) for key in TYPE_KEYS if text_at(mapping, key)), "")
    if said and not site.named and VIT_LIKE.search(said) is None:
        return None
    plain = {
        key.text.replace("-", "_").lower(): (key, value) for key, value in mapping.entries if value.kind != "mapping"
    }
    core = [name for name in CORE if name in plain]
    sizes = [name for name in plain if name in SIZES - NOT_SIZES and name != "batch_size"]
    roles = {OTHER_NAMES.get(name, name) for name in sizes} & set(CORE)
    if len(roles) < (1 if site.named or not site.path else 3) or not sizes:
        return None
    if not (site.named or not site.path or "patch_size" in roles or {"dim", "heads"} <= {*core}):
        return None  # a part of a model, such as its encoder alone
    for spec, names in CLASSES.items():
        if len(sizes) >= FEWEST and set(sizes) <= set(names.split()) and not set(sizes) <= set(KEYS):
            settings = {name: plain[name][1] for name in names.split() if name in plain}
            return ModelFound(spec, mapping.span, settings)
    flat_yaml = not site.path and site.file.suffix.lower() in YAML
    if set(core) & {"dim", "heads", "mlp_dim", "dim_head"} or flat_yaml or set(sizes) <= set(KEYS):
        return ModelFound(None, mapping.span, entries=tuple(_entries(mapping)))
    return _mixed(mapping, sizes) if len(sizes) >= FEWEST else None


def _entries(mapping: Node) -> list[Entry]:
    """The settings of the built-in ViT, and what is probably one of them misspelt; the rest is not the model's."""
    present = {key.text.replace("-", "_").lower() for key, _ in mapping.entries}
    kept = []
    for key, value in mapping.entries:
        plain = key.text.replace("-", "_").lower()
        if plain in KEYS:
            kept.append((key._replace(text=plain) if value.kind != "mapping" else key, value))
        elif key.kind != "text" or (value.kind != "mapping" and _misspelt(plain, present)):
            kept.append((key, value))
    return kept


def _misspelt(name: str, present: set[str]) -> bool:
    meant = OTHER_NAMES.get(name) if name not in NOT_SIZES else None
    if meant is None and name not in SIZES:
        near = get_close_matches(name, KEYS, 1, LIKENESS)
        meant = near[0] if near else None
    return meant is not None and meant not in present


def _mixed(mapping: Node, sizes: list[str]) -> ModelFound:
    spec, names = max(CLASSES.items(), key=lambda one: len(set(sizes) & set(one[1].split())))
    other = next(name for name in sizes if name not in names.split())
    message = f"these are hyperparameters of a ViT, but no one library has all their names: {', '.join(sizes)}"
    help = "name the class that takes them: vit-trace FILE.py:CLASS --set NAME=VALUE"
    note = f"the nearest is {spec}, which takes no {other}"
    at = next(key.span for key, _ in mapping.entries if key.text.replace("-", "_").lower() == other)
    return refused("unknown-model", message, at, help, notes=(note,))


FORM = Form(_own_names, 9, sure=False)
