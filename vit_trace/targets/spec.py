"""What the user typed as a spec -> its Target. Decides by form alone; libraries are imported by their own files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vit_trace.base.refused import Refused, refuse
from vit_trace.config.files import yaml_files_in
from vit_trace.config.words import cut
from vit_trace.targets.target import Target

if TYPE_CHECKING:
    from vit_trace.targets.request import Request
    from vit_trace.targets.target import Foreign

LIBRARIES = ("timm", "hf", "torchvision")


def is_foreign(spec: str) -> bool:
    """Whether a spec is somebody else's model: anything but the built-in ViT's YAML."""
    path = Path(spec)
    if path.suffix.lower() in (".yaml", ".yml"):
        return False
    return ":" in spec or path.suffix.lower() == ".json" or (spec != "" and os.path.isdir(spec))


def foreign_target(spec: str, request: Request) -> Target:
    """The target of a model of a library, of a config.json or of the user's own code. Raises Refused."""
    request.require_parsed(spec)
    library, colon, name = spec.partition(":")
    if library in LIBRARIES and colon:
        if not name:
            raise refuse("unknown-target", f"{spec} names no model", help=(f"vit-trace models '{library}:*'",))
        return reader(library)(name, request).target()
    path = Path(spec)
    if path.suffix.lower() == ".json" or path.is_dir():
        return config_target(path, request)
    from vit_trace.targets.libraries.python_models import python_model

    return python_model(spec, request).target()


def reader(library: str) -> Callable[[str, Request], Foreign]:
    """The function that reads what stands after the colon."""
    if library == "timm":
        from vit_trace.targets.libraries.timm_models import timm_model

        return timm_model
    if library == "hf":
        from vit_trace.targets.libraries.hf_models import hf_class

        return hf_class
    from vit_trace.targets.libraries.torchvision_models import torchvision_model

    return torchvision_model


def config_target(path: Path, request: Request) -> Target:
    """A config.json, or a directory with one."""
    folder = os.path.isdir(path)
    file = path / "config.json" if folder else path
    if not os.path.isfile(file):
        if not folder:
            raise refuse("no-such-file", f"there is no file {cut(str(path))}")
        help = tuple(f"for example {name}" for name in yaml_files_in(path)[:1])
        raise refuse("no-such-file", f"{path} is a directory without a config.json", help=help)
    from vit_trace.targets.libraries.hf_models import hf_file

    return hf_file(path, request).target()


FORMS = "FILE.yaml, timm:NAME, hf:NAME, torchvision:NAME, config.json, FILE.py:NAME or package.module:NAME"


def no_spec(spec: str) -> Refused:
    """A word that is no spec: half a size, a misspelt verb, a model without its library."""
    from vit_trace.config.words import cut

    help = [f"a spec is {FORMS}"]
    if spec.isdecimal():
        help = ["height and width are one word: --image-size 256x320"]
    return refuse("unknown-target", f"{cut(spec) or repr('')} is no file and names no model", help=tuple(help))
