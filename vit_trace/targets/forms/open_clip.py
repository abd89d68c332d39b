"""open_clip's model_cfg: a mapping with `embed_dim`, `vision_cfg` and `text_cfg`."""

from __future__ import annotations

from vit_trace.config.tree import child, text_at
from vit_trace.config.words import Node
from vit_trace.targets.model_found import Form, ModelFound, Standing, installed, refused

PLACE = "open_clip.model"
"""The module of open_clip's classes."""

CUSTOM = ("hf_model_name", "hf_tokenizer_name")
"""Fields of a text tower that is a model of Hugging Face, whose config is on the hub."""


def _model_cfg(mapping: Node, site: Standing) -> ModelFound | None:
    vision, text, width = (child(mapping, key) for key in ("vision_cfg", "text_cfg", "embed_dim"))
    if vision is None or text is None or width is None or vision.kind != "mapping":
        return None
    if not installed("open_clip"):
        message = "this is a model_cfg of open_clip, which is not installed"
        return refused("library-missing", message, vision.span, "pip install 'vit-trace[open_clip]'")
    if name := next((child(text, key) for key in CUSTOM if text_at(text, key)), None):
        message = f"the text tower is {name.text} of Hugging Face, whose config is not on this machine"
        return refused("needs-download", message, name.span, "leave hf_model_name out: the vision tower stays as it is")
    name_of_class = f"{PLACE}:{'CLIP' if child(mapping, 'custom_text') is None else 'CustomTextCLIP'}"
    if child(mapping, "multimodal_cfg") is not None:
        name_of_class = "open_clip.coca_model:CoCa"
    settings = {key.text: value for key, value in mapping.entries if key.text not in ("custom_text", "type")}
    image, length = text_at(vision, "image_size") or "224", text_at(text, "context_length") or "77"
    inputs = (f"image=2x3x{image}x{image}", f"text=2x{length}:int64")
    return ModelFound(name_of_class, vision.span, settings, inputs=inputs)


FORM = Form(_model_cfg, 3)
