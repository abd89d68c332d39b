"""Turns a spec that the user typed into its target; the form of the spec decides which library makes it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vit_trace.base import network
from vit_trace.base.leaving import exceptions_only
from vit_trace.base.limits import require_size, set_limits
from vit_trace.base.refused import Refused, refuse
from vit_trace.config.files import yaml_files_in
from vit_trace.config.words import cut
from vit_trace.targets.assignments import literal
from vit_trace.targets.contents import chosen_spec, names_module
from vit_trace.targets.defined import specs_named
from vit_trace.targets.library import Library, config_reader, library, spec_forms
from vit_trace.targets.target import Foreign, Target

if TYPE_CHECKING:
    from vit_trace.targets.request import Request


def is_foreign(spec: str) -> bool:
    """Whether a spec names anything but the built-in ViT with a YAML file."""
    if Path(spec).suffix.lower() in (".yaml", ".yml"):
        return False
    return ":" in spec or spec.endswith(".py") or config_reader(spec) is not None or names_module(spec)


def foreign_target(spec: str, request: Request) -> Target:
    """The target of a library's model, of a config file or of the user's own code. Raises Refused."""
    request.require_parsed(spec)
    network.allow(request.allow_network)
    set_limits(request.limits)
    with exceptions_only():
        for setting, text in request.assigned.items():
            require_size(setting.rpartition(".")[2], literal(text))
    prefix, colon, name = spec.partition(":")
    if (colon or not spec.endswith(".py")) and (found := library(prefix)) is not None:
        if not name:
            raise refuse("unknown-target", f"{spec} lacks a name", help=(f"vit-trace models '{prefix}:*'",))
        return _of_library(found, name, request).target()
    if (found := config_reader(spec)) is not None and found.read is not None:
        _require_config(Path(spec), found.config)
        return found.read(Path(spec), request).target()
    spec = spec if colon else chosen_spec(spec)
    from vit_trace.targets.python_models import python_model

    return python_model(spec, request).target()


def _of_library(library: Library, name: str, request: Request) -> Foreign:
    """The model of that name, or the method of NAME.method as its forward. Raises Refused."""
    from vit_trace.targets.methods import method_named, traced_method

    try:
        return library.model(name, request)
    except Refused:
        (whole, _, last), method = name.rpartition("."), None
        with suppress(Refused):
            model = library.model(whole, request)
            own = type(model.built.model)
            method = method_named(own, last, getattr(own, last, None))
        if method is None:
            raise
        return traced_method(model, method)


def _require_config(path: Path, name: str) -> None:
    """Refuse a config file, or a directory with one, that does not exist. Raises Refused."""
    if not os.path.isdir(path):
        if not os.path.isfile(path):
            raise refuse("no-such-file", f"the file {cut(str(path))} does not exist")
    elif not os.path.isfile(path / name):
        help = tuple(f"for example {file}" for file in yaml_files_in(path)[:1])
        raise refuse("no-such-file", f"{path} is a directory without a {name}", help=help)


def no_spec(spec: str) -> Refused:
    """The refusal of a word that is not a spec: half a size, a misspelt verb, a model without its library."""
    help = [f"a spec is {spec_forms()}"]
    if spec.isdecimal():
        help = ["height and width are one word: --image-size 256x320"]
    elif named := specs_named(spec):
        help = [f"did you mean {', '.join(named)}?"]
    return refuse("unknown-target", f"no file or model is named {cut(spec) or repr('')}", help=tuple(help))
