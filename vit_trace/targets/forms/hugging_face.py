"""Values of a Hugging Face config in another file: a mapping with `model_type`."""

from __future__ import annotations

from vit_trace.config.tree import child, text_at
from vit_trace.config.words import Node
from vit_trace.targets.model_found import Form, ModelFound, Standing

FIELDS = (
    "hidden_size",
    "num_hidden_layers",
    "patch_size",
    "image_size",
    "architectures",
    "vision_config",
    "num_channels",
)
"""Fields that a config of transformers has beside its model_type."""


def _with_model_type(mapping: Node, site: Standing) -> ModelFound | None:
    kind = child(mapping, "model_type")
    if kind is None or not text_at(mapping, "model_type") or not any(child(mapping, name) for name in FIELDS):
        return None
    named = child(mapping, "architectures")
    first = named.items[0].text if named is not None and named.items else kind.text
    skipped = ("model_type", "architectures", "auto_map", "transformers_version", "torch_dtype", "_name_or_path")
    settings = {key.text: value for key, value in mapping.entries if key.text not in skipped}
    return ModelFound(f"hf:{first}", kind.span, settings)


FORM = Form(_with_model_type, 4)
