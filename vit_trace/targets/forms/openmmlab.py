"""mmpretrain's form: `model = dict(type='ImageClassifier', backbone=dict(type='VisionTransformer', …))`."""

from __future__ import annotations

from vit_trace.config.tree import child, text_at
from vit_trace.config.words import Node
from vit_trace.targets.called import DottedCall, of_package
from vit_trace.targets.model_found import Form, ModelFound, Standing

PACKAGES = {"mmpretrain": "mmpretrain.models", "mmdet": "mmdet.models", "mmseg": "mmseg.models"}
"""Packages of OpenMMLab, with the modules of their backbones."""

KINDS = {"ImageClassifier": "mmpretrain", "FasterRCNN": "mmdet", "MaskRCNN": "mmdet", "EncoderDecoder": "mmseg"}
"""Types of a whole model, with the package they are of."""


def _of_openmmlab(mapping: Node, site: Standing) -> ModelFound | None:
    whole, backbone = text_at(mapping, "type"), child(mapping, "backbone")
    name = text_at(backbone, "type")
    if not whole or not name or backbone is None:
        return None
    package = name.partition(".")[0] if name.partition(".")[0] in PACKAGES else KINDS.get(whole, "mmpretrain")
    at = child(backbone, "type")
    assert at is not None
    target = at._replace(text=f"{PACKAGES[package]}.{name.rpartition('.')[2]}")
    settings = {key.text: value for key, value in backbone.entries if key.text not in ("type", "init_cfg", "_scope_")}
    return of_package(DottedCall(target, settings))


FORM = Form(_of_openmmlab, 3)
