"""Finds the model that a dotted name in a config makes: of a library, or of the user's own code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from vit_trace.config.tree import child
from vit_trace.config.words import Node, cut
from vit_trace.targets.contents import is_lightning, kind_of
from vit_trace.targets.defined import scanned_names
from vit_trace.targets.library import library
from vit_trace.targets.model_found import ModelFound, Settings, Standing, installed, refused

MAKERS = {"create_model": "timm", "get_model": "torchvision"}
"""Functions of libraries that take a model's name, with the library."""

NAME_KEYS = ("model_name", "name", "model")
"""Arguments under which such a function takes the name."""

LIBRARIES = ("timm", "torchvision")
"""Libraries whose prefix is the name of their package."""

NO_MODELS = set(
    "lightning pytorch_lightning torchmetrics hydra omegaconf albumentations wandb mlflow datasets os numpy math"
    " builtins functools collections tensorboard neptune sklearn torch torchtext kornia".split()
)
"""Packages whose classes in a config are no models."""

NO_PARTS = set("transforms datasets data optim scheduler loss losses callbacks loggers metrics utils".split())
"""Names of modules without models."""

MODEL_KEYS = set(
    "model net network backbone encoder vit arch architecture module student teacher feature_extractor generator"
    " vision vision_model image_encoder visual".split()
)
"""Keys under which a config says which model it is."""


class DottedCall:
    """What a config calls: the node with the dotted name, and the arguments by name and by place."""

    def __init__(self, target: Node, settings: Settings, args: Sequence[Node] = ()) -> None:
        self.target, self.settings, self.args = target, dict(settings), args
        self.module, _, self.name = target.text.rpartition(".")
        self.package = self.module.partition(".")[0]


def model_called(call: DottedCall, site: Standing) -> ModelFound | None:
    """The model of a call; None where it makes something else."""
    if call.name in MAKERS and call.package == MAKERS[call.name]:
        return _made_by_name(call)
    if call.package in ("", *NO_MODELS) or NO_PARTS & {*call.module.split(".")}:
        return None
    if call.package in LIBRARIES and call.name in scanned_names(call.package):
        return ModelFound(
            f"{call.package}:{call.name}", call.target.span, without_fetching(call.package, call.settings)
        )
    if call.package == "transformers":
        return _of_transformers(call)
    if call.package in (*LIBRARIES, "vit_pytorch", "open_clip") or (
        call.package in ("detectron2", "mmpretrain") and not installed(call.package)
    ):
        return of_package(call) if call.name[:1].isupper() else None
    return _own(call, site)


def named_model(prefix: str, name: Node, settings: Settings) -> ModelFound:
    """A model of a library by the name that it has there, or on the hub as `hf-hub:timm/NAME`."""
    plain = name.text.rpartition("/")[2].rpartition(":")[2]
    return ModelFound(f"{prefix}:{plain}", name.span, without_fetching(prefix, settings))


def without_fetching(prefix: str, settings: Settings) -> dict[str, Node]:
    """The settings without those that load weights, which change no shape."""
    found = library(prefix)
    drop = found.fetching if found is not None else ()
    return {name: node for name, node in settings.items() if name not in drop}


def of_package(call: DottedCall) -> ModelFound:
    """A class of a package; refused where that is not installed."""
    if not installed(call.package):
        message = f"{cut(call.target.text)} is of {call.package}, which is not installed"
        return refused("library-missing", message, call.target.span, f"pip install {call.package}")
    return ModelFound(f"{call.module}:{call.name}", call.target.span, call.settings)


def _made_by_name(call: DottedCall) -> ModelFound | None:
    settings = call.settings
    given = [settings.pop(key) for key in NAME_KEYS if key in settings] or list(call.args[:1])
    if not given:
        return refused("missing-hyperparameter", f"{call.target.text} needs a model's name", call.target.span,
                       "model_name: vit_base_patch16_224")  # fmt: skip
    if given[0].kind != "text":
        return ModelFound(None, call.target.span, {"model_name": given[0]})
    return named_model(MAKERS[call.name], given[0], settings)


def _of_transformers(call: DottedCall) -> ModelFound | None:
    """A class of transformers: its config's values are its settings."""
    if call.name in ("from_pretrained", "from_config"):
        inner = call.module.rpartition(".")[2]
        if inner.endswith(("Processor", "Tokenizer", "FeatureExtractor", "TokenizerFast", "ImageProcessorFast")):
            return None
        return _pretrained(call)
    if not call.name.endswith(("Config", "Model", "Backbone")) and "For" not in call.name and "Model" not in call.name:
        return None
    config = call.settings.get("config")
    inside = child(config, "init_args") or config
    entries = inside.entries if inside is not None else ()
    settings = {key.text: one for key, one in entries if key.text not in ("_target_", "class_path", "_convert_")}
    return ModelFound(f"hf:{call.name}", call.target.span, settings or call.settings)


def _pretrained(call: DottedCall) -> ModelFound | None:
    """A model whose config is in a directory, or on the hub."""
    keys = ("pretrained_model_name_or_path", "config", "model_name_or_path")
    given = [call.settings[key] for key in keys if key in call.settings] or list(call.args[:1])
    return of_hub(given[0]) if given and given[0].kind == "text" else None


def of_hub(name: Node) -> ModelFound:
    """A model by the directory of its config; refused where there is none, since nothing is downloaded."""
    if os.path.isfile(os.path.join(name.text, "config.json")):
        return ModelFound(name.text, name.span)
    message = f"{cut(name.text)} is not a directory on this machine, and nothing is downloaded"
    return refused("needs-download", message, name.span, "download its config.json and name its path here")


def _own(call: DottedCall, site: Standing) -> ModelFound | None:
    """A class or function of the user's own code, where its file shows a model, or its key says so."""
    kind = kind_of(call.module, call.name)
    if kind == "other" or (not kind and site.key not in MODEL_KEYS and not site.named and site.path):
        return None
    target = cut(call.target.text)
    if kind == "":
        message = f"{target} cannot be imported from here"
        what = f"there is no {call.module} in this directory or among the installed packages"
        if installed(call.package):
            what = f"{call.module} has no {call.name}"
        help = "run vit-trace in the directory from which your training is started"
        return replace(refused("no-such-module", message, call.target.span, help, notes=(what,)), outer=True)
    around = is_lightning(call.module, call.name)
    return ModelFound(f"{call.module}:{call.name}", call.target.span, call.settings, imports=True, outer=around)
