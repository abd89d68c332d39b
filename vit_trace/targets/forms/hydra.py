"""Hydra's form: a mapping with `_target_`; and Lightning CLI's, with `class_path` and `init_args`."""

from __future__ import annotations

from vit_trace.config.tree import child, text_at
from vit_trace.config.words import Node
from vit_trace.targets.called import DottedCall, model_called
from vit_trace.targets.model_found import Form, ModelFound, Standing

SPECIAL = ("_target_", "_partial_", "_args_", "_convert_", "_recursive_", "_mode_", "defaults")
"""Keys that are Hydra's own."""


def _named_target(mapping: Node, site: Standing) -> ModelFound | None:
    if text_at(mapping, "_target_") and (target := child(mapping, "_target_")) is not None:
        settings = {key.text: value for key, value in mapping.entries if key.text not in SPECIAL}
        by_place = child(mapping, "_args_")
        return model_called(DottedCall(target, settings, by_place.items if by_place else ()), site)
    if text_at(mapping, "class_path") and (target := child(mapping, "class_path")) is not None:
        given = child(mapping, "init_args") or child(mapping, "dict_kwargs")
        return model_called(DottedCall(target, {key.text: one for key, one in given.entries} if given else {}), site)
    return None


FORM = Form(_named_target, 1)
