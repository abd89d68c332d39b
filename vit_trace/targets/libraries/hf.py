"""hf:CONFIG and config.json. Makes Hugging Face models from a config; downloads nothing."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vit_trace.targets.complaints import build_first
from vit_trace.targets.huggingface import classes
from vit_trace.targets.huggingface.configs import Configured, assign, config_of, read_object
from vit_trace.targets.huggingface.inputs import hf_plans
from vit_trace.targets.huggingface.permitted import download_named, structure
from vit_trace.targets.library import Library, library
from vit_trace.targets.recipe import assemble
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign

IMAGE_TASKS = set("IMAGE VIDEO VISION SEGMENTATION DEPTH OBJECT KEYPOINT BACKBONE MASK_GENERATION".split())
"""Words in the names of AutoModel's tables that list models of images."""


def transformers() -> None:
    """Import transformers with the part that needs torch, and silence it. Raises Refused."""
    LIBRARY.load("transformers.models.auto.modeling_auto")
    LIBRARY.load().logging.set_verbosity_error()


def _hf_class(name: str, request: Request) -> Foreign:
    """hf:ViTConfig, hf:ViTForImageClassification or hf:vit, with --set under the config's own names."""
    transformers()
    config_class, model_class = classes.named_classes(name)
    return _hf_model(f"hf:{name}", config_class, {}, model_class, request)


def _hf_file(path: Path, request: Request) -> Foreign:
    """A config.json or the directory that holds it. Raises Refused."""
    file = path / "config.json" if os.path.isdir(path) else path
    values = read_object(file)
    if isinstance(values.get("architecture"), str) and "model_type" not in values:
        return _timm_config(values, request)
    transformers()
    config_class, model_class = classes.config_class_of(values, file), classes.architecture(values)
    return _hf_model(str(path), config_class, structure(values), model_class, request)


def _timm_config(values: Mapping[str, Any], request: Request) -> Foreign:
    """The model of a timm config.json on the Hub, which names the architecture."""
    timm = library("timm")
    assert timm is not None
    own = {key: values[key] for key in ("num_classes", "global_pool") if key in values}
    own |= values.get("model_args") or {}
    texts = [f"{key}={value}" for key, value in own.items()]
    return timm.model(str(values["architecture"]), replace(request, assignments=(*texts, *request.assignments)))


def _hf_model(
    spec: str, config_class: type, values: Mapping[str, Any], model_class: type | None, request: Request
) -> Foreign:
    """The model of a config with --set on it. Raises Refused."""
    with download_named(spec, values):
        given = assign(config_of(spec, config_class, values), values, request.assigned)
        config = config_of(spec, config_class, given)

    def make(config: Any) -> object:
        if model_class is not None:
            return model_class(config)
        from transformers import AutoModel

        return AutoModel.from_config(config)  # type: ignore[no-untyped-call]

    model_class = model_class or classes.mapped_class(spec, config)
    if not request.given:
        classes.refuse_text(spec, config, model_class)
    configured = Configured(config, given, make)
    with download_named(spec, given):
        built = build_first(spec, partial(configured.vary, {}), request.rules)
    return assemble(configured.recipe(spec, built, partial(hf_plans, config=config, request=request)), request)


def _config_classes() -> list[str]:
    """Config classes of all models of images."""
    transformers()
    from transformers.models.auto import modeling_auto

    kinds = {
        kind
        for name, table in vars(modeling_auto).items()
        if name.endswith("_MAPPING_NAMES") and any(word in name for word in IMAGE_TASKS) and isinstance(table, Mapping)
        for kind in table
    }
    return sorted({name for kind, name in classes.config_names().items() if kind in kinds})


EXAMPLE = "hf:ViTForImageClassification"
LIBRARY = Library("transformers", EXAMPLE, _hf_class, _config_classes, config="config.json", read=_hf_file)
