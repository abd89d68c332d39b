"""Hugging Face models from a config: a config.json, its directory, or hf:ConfigClass. Never a download."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vit_trace.base.refused import refuse
from vit_trace.base.trace import Diagnostic, Source
from vit_trace.targets import assignments
from vit_trace.targets.building import build_first
from vit_trace.targets.complaints import contained, did_you_mean, missing_library
from vit_trace.targets.knobs import Changes, changed, is_config
from vit_trace.targets.libraries.hf_inputs import hf_plans
from vit_trace.targets.recipe import Recipe, assemble
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign

VISUAL = {"image_size", "patch_size", "patch_sizes", "num_channels", "in_channels", "crop_size", "tubelet_size"}
VISUAL |= {"vision_config", "backbone_config", "backbone", "spatial_patch_size", "num_frames"}
"""Fields of which a config of a model that sees images has at least one."""

UNSEEN = ("_name_or_path", "torch_dtype", "dtype", "quantization_config", "auto_map", "transformers_version")
"""Keys of a saved config that do not say what the model is made of."""


def hf_class(name: str, request: Request) -> Foreign:
    """hf:ViTConfig, hf:ViTForImageClassification or hf:vit, with --set under the config's own names."""
    library()
    config_class, model_class = classes(name)
    return model(f"hf:{name}", config_class, {}, model_class, request)


def hf_file(path: Path, request: Request) -> Foreign:
    """A config.json or the directory it is in. Raises Refused."""
    file = path / "config.json" if path.is_dir() else path
    values = read(file)
    if isinstance(values.get("architecture"), str) and "model_type" not in values:
        return timm_config(values, request)
    library()
    config_class = config_class_of(values, file)
    model_class = architecture(values)
    for key in UNSEEN:
        values.pop(key, None)
    return model(str(path), config_class, values, model_class, request)


def library() -> Any:
    try:
        with contained():
            import transformers
            from transformers import AutoModel  # noqa: F401  # the part that needs torch
    except Exception as error:
        raise missing_library("transformers", "transformers", error) from error
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    return transformers


def read(file: Path) -> dict[str, Any]:
    """The JSON object in the file. Raises Refused with the place where it stops being one."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise refuse("unreadable-config", f"{file}: {getattr(error, 'strerror', None) or error}") from None
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        line = text.splitlines()[error.lineno - 1] if error.lineno <= len(text.splitlines()) else ""
        span = Source(str(file), error.lineno, error.lineno, error.colno - 1, error.colno, line[error.colno - 1 :][:1])
        raise refused_at("not-json", f"{file} is not JSON: {error.msg}", span) from None
    except RecursionError:
        raise refuse("not-json", f"{file} is nested too deeply") from None
    if not isinstance(values, dict):
        raise refuse("not-a-config", f"{file} holds no JSON object")
    return values


def refused_at(code: str, message: str, span: Source, help: tuple[str, ...] = ()) -> Exception:
    from vit_trace.base.refused import Refused

    return Refused(Diagnostic(code, "error", message, span, (), help))


def timm_config(values: Mapping[str, Any], request: Request) -> Foreign:
    """The config.json of a timm model on the Hub names the architecture."""
    from dataclasses import replace

    from vit_trace.targets.libraries.timm_models import timm_model

    own = {key: str(values[key]) for key in ("num_classes", "global_pool") if key in values}
    own |= {key: str(value) for key, value in (values.get("model_args") or {}).items()}
    texts = tuple(f"{key}={value}" for key, value in own.items())
    return timm_model(str(values["architecture"]), replace(request, assignments=(*texts, *request.assignments)))


# -- classes -------------------------------------------------------------------------------------------------------


def classes(name: str) -> tuple[type, type | None]:
    """(config class, model class or None) of a class's name or a model type. Raises Refused."""
    import transformers

    mapping = config_names()
    found = getattr(transformers, mapping.get(name, name), None) if not name.startswith("_") else None
    if isinstance(found, type) and is_config_class(found):
        return found, None
    config_class = getattr(found, "config_class", None)
    if isinstance(found, type) and isinstance(config_class, type):
        return config_class, found
    near = did_you_mean(name, sorted(set(mapping.values())), "hf:")
    help = (*near, "hf: takes the name of a config class, of a model class, or a model type; vit-trace models 'hf:*'")
    raise refuse("unknown-model", f"transformers has no model {name}", help=help)


def is_config_class(found: type) -> bool:
    return any(base.__name__ in ("PretrainedConfig", "PreTrainedConfig") for base in found.__mro__)


def config_names() -> Mapping[str, str]:
    """Config class by model type."""
    from transformers.models.auto import configuration_auto

    return dict(vars(configuration_auto)["CONFIG_MAPPING_NAMES"])


def config_class_of(values: Mapping[str, Any], file: Path) -> type:
    """The config class that a config.json is of. Raises Refused."""
    import transformers

    mapping = config_names()
    kind = values.get("model_type")
    if kind is not None and not isinstance(kind, str):
        raise refuse("not-a-config", f"{file}: model_type is the name of a kind of model, not {json.dumps(kind)[:40]}")
    if kind in mapping:
        return type_named(transformers, mapping[str(kind)])
    first = architecture(values)
    if kind is None and first is not None:
        return type_named(first, "config_class")
    if "auto_map" in values:
        message = f"{file}: {kind or 'the model'} needs code of its own, which is not fetched"
        raise refuse("remote-code", message, help=("give the class: path/file.py:Class",))
    if kind is None:
        raise refuse("not-a-config", f"{file} is no model's config: it has no model_type")
    help = did_you_mean(str(kind), mapping)
    raise refuse("unknown-model", f"{file}: transformers knows no model_type {kind}", help=help)


def type_named(owner: Any, name: str) -> type:
    found = getattr(owner, name)
    assert isinstance(found, type)
    return found


def architecture(values: Mapping[str, Any]) -> type | None:
    """The first class in `architectures` that transformers has."""
    import transformers

    names = values.get("architectures")
    for name in names if isinstance(names, list) else []:
        found = getattr(transformers, str(name), None) if str(name)[:1] != "_" else None
        if isinstance(found, type) and hasattr(found, "config_class"):
            return found
    return None


# -- the model -----------------------------------------------------------------------------------------------------


def model(
    spec: str, config_class: type, values: Mapping[str, Any], model_class: type | None, request: Request
) -> Foreign:
    """The model of a config with --set on it. Raises Refused."""
    base = config_of(spec, config_class, values)
    given = with_assignments(base, values, request.assigned)
    config = config_of(spec, config_class, given)

    def of(changes: Changes) -> object:
        return built_of(config_class.from_dict(altered(config, given, changes)), model_class)  # type: ignore[attr-defined]

    model_class = model_class or mapped_class(spec, config)
    if not request.given:
        refuse_text(spec, config, model_class)
    built = build_first(spec, lambda: of({}), request.rules)
    arguments = {name: value for name, value in vars(config).items() if not name.startswith("_")}
    if "num_labels" not in arguments and classifies(type(built.model)):
        arguments["num_labels"] = config.num_labels
    recipe = Recipe(
        spec,
        lambda: of({}),
        built,
        plans=lambda one: hf_plans(one.model, config, request),
        arguments=arguments,
        vary=of,
        follows=lambda changes: numbers_of(config_class.from_dict(altered(config, given, changes))),  # type: ignore[attr-defined]
    )
    return assemble(recipe, request)


def classifies(model_class: type) -> bool:
    return "Classification" in model_class.__name__ or "Segmentation" in model_class.__name__


def known_fields(file: Path) -> tuple[str, ...]:
    """The fields that the config class of a config.json reads; nothing where that cannot be told."""
    try:
        kind = config_class_of(read(file), file)
        with contained():
            config = kind()
    except Exception:
        return ()
    return tuple(known(config))


def numbers_of(config: Any) -> dict[Any, Any]:
    from vit_trace.targets.knobs import numbers

    return dict(numbers({name: value for name, value in vars(config).items() if not name.startswith("_")}))


def built_of(config: Any, model_class: type | None) -> object:
    """The model of a config, its weights as they come."""
    if model_class is not None:
        return model_class(config)
    from transformers import AutoModel

    return AutoModel.from_config(config)  # type: ignore[no-untyped-call]


def config_of(spec: str, config_class: type, values: Mapping[str, Any]) -> Any:
    """The config. Raises Refused with its own words where a value is none."""
    try:
        with contained():
            return config_class.from_dict(dict(values))  # type: ignore[attr-defined]
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise refuse(
            "bad-value",
            f"{spec}: {lines[-1].removeprefix('TypeError: ')}",
            notes=tuple(line for line in lines[:-1] if not line.endswith(":")),
        ) from error


def with_assignments(config: Any, values: Mapping[str, Any], assigned: Mapping[str, str]) -> dict[str, Any]:
    """The config's values with --set on them; `vision_config.hidden_size` reaches into a part. Raises Refused."""
    given = dict(values)
    for name, text in assigned.items():
        owner, place = config, given
        *parts, last = name.split(".")
        for part in parts:
            inner = getattr(owner, part, None)
            if not is_config(inner):
                parts_of = [one for one, value in vars(owner).items() if is_config(value)]
                raise assignments.unknown(part, parts_of or known(owner), type(owner).__name__)
            place[part] = said_of(inner, place.get(part))
            owner, place = inner, place[part]
        if last not in known(owner):
            raise assignments.unknown(last, known(owner), type(owner).__name__)
        place[last] = assignments.typed(name, text, getattr(owner, last, None))
    return given


def said_of(part: Any, given: Any) -> dict[str, Any]:
    """What a part of a config was made of: what was given for it, else how it differs from its class's defaults."""
    return dict(given) if isinstance(given, dict) else dict(part.to_diff_dict())


def known(config: Any) -> list[str]:
    names = [name for name in vars(config) if not name.startswith("_")]
    return [*names, "num_labels", *getattr(type(config), "attribute_map", {})]


def altered(config: Any, given: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """The values that the config was made of with some changed, so that what follows from them follows again."""
    made = dict(given)
    below: dict[str, Changes] = {}
    for path, value in changes.items():
        below.setdefault(str(path[0]), {})[path[1:]] = value
    for name, inner in below.items():
        value = getattr(config, name, None)
        if () in inner:
            made[name] = inner[()]
        elif is_config(value):
            made[name] = altered(value, said_of(value, made.get(name)), inner)
        else:
            made[name] = changed(value, inner)
    if "num_labels" in made:
        made.pop("id2label", None)
        made.pop("label2id", None)
    return made


def mapped_class(spec: str, config: Any) -> type | None:
    """A model class for a config that AutoModel has none for; None where it has. Raises Refused."""
    import transformers
    from transformers.models.auto import modeling_auto

    kind = getattr(config, "model_type", None)
    if kind in modeling_auto.MODEL_MAPPING_NAMES:
        return None
    for name, mapping in vars(modeling_auto).items():
        if name.startswith("MODEL_") and isinstance(mapping, Mapping) and kind in mapping:
            names = mapping[kind]
            found = getattr(transformers, names if isinstance(names, str) else names[0], None)
            if isinstance(found, type) and hasattr(found, "forward"):
                return found
    if (own := own_class(type(config))) is not None:
        return own
    help = ("a config.json with `architectures`, or hf:ModelClass",)
    raise refuse("unknown-model", f"{spec}: AutoModel knows no model for {type(config).__name__}", help=help)


def own_class(config_class: type) -> type | None:
    """The model class beside a config class, for a part of a larger model that no mapping lists."""
    import importlib

    try:
        module = importlib.import_module(config_class.__module__.replace(".configuration_", ".modeling_"))
    except ImportError:
        return None
    found = [
        one
        for name, one in vars(module).items()
        if isinstance(one, type) and name[0] != "_" and one.__dict__.get("forward") is not None
        if getattr(one, "config_class", None) is config_class or annotated(one) == config_class.__name__
    ]
    return min(found, key=lambda one: (not one.__name__.endswith("Model"), len(one.__name__)), default=None)


def annotated(model_class: type) -> str:
    """The name of the config class that a pretrained model's `config` is annotated with."""
    if not hasattr(model_class, "from_pretrained"):
        return ""
    said = inspect.get_annotations(model_class).get("config", "")
    return said if isinstance(said, str) else getattr(said, "__name__", "")


def refuse_text(spec: str, config: Any, model_class: type | None) -> None:
    """Refuse a config of a model that sees no images. Raises Refused."""
    if str(getattr(model_class or auto_class(config), "main_input_name", "")).startswith("pixel"):
        return
    if not VISUAL & {name for owner in parts(config) for name in vars(owner)}:
        message = f"{spec} is no vision model: {type(config).__name__} says nothing of images"
        raise refuse("not-a-vision-model", message, help=("give what it takes: --input input_ids=2x16:int64",))


def auto_class(config: Any) -> type | None:
    """The class that AutoModel takes for a config."""
    import transformers
    from transformers.models.auto import modeling_auto

    name = modeling_auto.MODEL_MAPPING_NAMES.get(str(getattr(config, "model_type", "")))
    return getattr(transformers, name, None) if isinstance(name, str) else None


def parts(config: Any) -> list[Any]:
    """The config and those inside it."""
    return [config, *(value for value in vars(config).values() if is_config(value))]


def names() -> list[str]:
    """Config classes of all models that see images."""
    library()
    from transformers.models.auto import modeling_auto

    words = ("IMAGE", "VIDEO", "VISION", "SEGMENTATION", "DEPTH", "OBJECT", "KEYPOINT", "BACKBONE", "MASK_GENERATION")
    kinds = {
        kind
        for name, mapping in vars(modeling_auto).items()
        if name.endswith("_MAPPING_NAMES") and any(word in name for word in words) and isinstance(mapping, Mapping)
        for kind in mapping
    }
    mapping = config_names()
    return sorted({mapping[kind] for kind in kinds if kind in mapping})
