"""Finds the classes of transformers: which config class and which model class a name or a config.json means."""

import importlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vit_trace.base.refused import refuse
from vit_trace.base.roles import ROLES
from vit_trace.targets.complaints import did_you_mean
from vit_trace.targets.knobs import is_config, is_config_class

VISUAL = {name for role in ("image", "patch", "frame_patch", "frames", "channels") for name in ROLES[role]}
VISUAL |= set("patch_sizes vision_config backbone_config backbone spatial_patch_size".split())
VISUAL -= {"input_size"}
"""Fields that show that a model takes images: its config has at least one. Others call their features `input_size`."""


def named_classes(name: str) -> tuple[type, type | None]:
    """(config class, model class or None) of a class's name or a model type. Raises Refused."""
    import transformers

    names = config_names()
    found = getattr(transformers, names.get(name, name), None) if not name.startswith("_") else None
    if isinstance(found, type) and is_config_class(found):
        return found, None
    config_class = getattr(found, "config_class", None)
    if isinstance(found, type) and isinstance(config_class, type):
        return config_class, found
    near = did_you_mean(name, sorted(set(names.values())), "hf:")
    help = (*near, "hf: takes the name of a config class, of a model class, or a model type; vit-trace models 'hf:*'")
    raise refuse("unknown-model", f"transformers has no model {name}", help=help)


def config_names() -> Mapping[str, str]:
    """Config class by model type."""
    from transformers.models.auto import configuration_auto

    return dict(vars(configuration_auto)["CONFIG_MAPPING_NAMES"])


def config_class_of(values: Mapping[str, Any], file: Path) -> type:
    """The config class of a config.json. Raises Refused."""
    import transformers

    names = config_names()
    kind = values.get("model_type")
    if kind is not None and not isinstance(kind, str):
        raise refuse("not-a-config", f"{file}: model_type is the name of a kind of model, not {json.dumps(kind)[:40]}")
    first = architecture(values) if kind is None else None
    found = getattr(transformers, names[kind]) if kind and kind in names else getattr(first, "config_class", None)
    if isinstance(found, type):
        return found
    if "auto_map" in values:
        message = f"{file}: {kind or 'the model'} needs code of its own, which is not downloaded"
        raise refuse("remote-code", message, help=("name the class: path/file.py:Class",))
    if kind is None:
        raise refuse("not-a-config", f"{file} is not a model's config: it has no model_type")
    raise refuse("unknown-model", f"{file}: transformers has no model_type {kind}", help=did_you_mean(kind, names))


def architecture(values: Mapping[str, Any]) -> type | None:
    """The first class in `architectures` that transformers has."""
    import transformers

    names = values.get("architectures")
    known = [str(name) for name in names if str(name)[:1] != "_"] if isinstance(names, list) else []
    found = (getattr(transformers, name, None) for name in known)
    return next((one for one in found if isinstance(one, type) and hasattr(one, "config_class")), None)


def mapped_class(spec: str, config: Any) -> type | None:
    """The model class of a config that AutoModel does not cover; None where it does. Raises Refused."""
    import transformers
    from transformers.models.auto import modeling_auto

    kind = getattr(config, "model_type", None)
    if kind in modeling_auto.MODEL_MAPPING_NAMES:
        return None
    for name, table in vars(modeling_auto).items():
        if name.startswith("MODEL_") and isinstance(table, Mapping) and kind in table:
            names = table[kind]
            found = getattr(transformers, names if isinstance(names, str) else names[0], None)
            if isinstance(found, type) and hasattr(found, "forward"):
                return found
    if (own := _own_class(type(config))) is not None:
        return own
    help = ("a config.json with `architectures`, or hf:ModelClass",)
    raise refuse("unknown-model", f"{spec}: AutoModel has no model for {type(config).__name__}", help=help)


def _own_class(config_class: type) -> type | None:
    """The model class beside a config class, for a part of a larger model that no table lists."""
    try:
        module = importlib.import_module(config_class.__module__.replace(".configuration_", ".modeling_"))
    except ImportError:
        return None
    found = [
        one
        for name, one in vars(module).items()
        if isinstance(one, type) and name[0] != "_" and one.__dict__.get("forward") is not None
        if getattr(one, "config_class", None) is config_class or _annotated_config(one) == config_class.__name__
    ]
    return min(found, key=lambda one: (not one.__name__.endswith("Model"), len(one.__name__)), default=None)


def _annotated_config(model_class: type) -> str:
    """The name of the config class in the annotation of a pretrained model's `config`."""
    if not hasattr(model_class, "from_pretrained"):
        return ""
    annotation = inspect.get_annotations(model_class).get("config", "")
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def refuse_text(spec: str, config: Any, model_class: type | None) -> None:
    """Refuse the config of a model that takes no images. Raises Refused."""
    if str(getattr(model_class or _auto_class(config), "main_input_name", "")).startswith("pixel"):
        return
    parts = [config, *(value for value in vars(config).values() if is_config(value))]
    if not VISUAL & {name for part in parts for name in vars(part)}:
        message = f"{spec} is not a vision model: {type(config).__name__} has no field about images"
        raise refuse("not-a-vision-model", message, help=("give its inputs: --input input_ids=2x16:int64",))


def _auto_class(config: Any) -> type | None:
    """The class that AutoModel uses for a config."""
    import transformers
    from transformers.models.auto import modeling_auto

    name = modeling_auto.MODEL_MAPPING_NAMES.get(str(getattr(config, "model_type", "")))
    return getattr(transformers, name, None) if isinstance(name, str) else None
