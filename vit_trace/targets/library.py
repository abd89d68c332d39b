"""Defines what a library of models declares about itself; finds libraries and lists their models."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vit_trace.base.imports import hiding_files
from vit_trace.base.refused import Refused, refuse
from vit_trace.base.trace import Diagnostic
from vit_trace.targets.complaints import contained, refusal
from vit_trace.targets.defined import scanned_names
from vit_trace.targets.libraries import prefixes

if TYPE_CHECKING:
    from vit_trace.targets.request import Request
    from vit_trace.targets.target import Foreign


@dataclass(frozen=True)
class Library:
    """A library of models: the value `LIBRARY` of its file in targets/libraries/, whose name is the prefix.

    `package` is what Python imports, and the extra in pyproject.toml that installs it; `example` is one of its specs.
    `model` makes the model of the name after the colon, `names` lists all such names. `fetching` are arguments that
    download weights, so --set may not give them. A library that also reads config files names one in `config`, and
    `read` makes the model of such a file.
    """

    package: str
    example: str
    model: Callable[[str, Request], Foreign]
    names: Callable[[], list[str]]
    fetching: frozenset[str] = frozenset()
    config: str = ""
    read: Callable[[Path, Request], Foreign] | None = None

    def load(self, module: str = "") -> Any:
        """The library's package, or a module of it. Raises Refused with the command that installs it."""
        try:
            with contained():
                return importlib.import_module(module or self.package)
        except Exception as error:
            name, extra = self.package, f"'vit-trace[{self.package}]'"
            if isinstance(error, ModuleNotFoundError) and error.name == name:
                install = (f"pip install {extra}",)
                raise refuse("library-missing", f"{name} is not installed", help=install) from error
            whole = f"python -c 'import {name}' shows the whole traceback"
            help = hiding_files(error) or (whole, f"pip install --upgrade {extra}")
            raise refusal("library-broken", f"{name} is installed but does not import", error, help) from error

    def require_no_weights(self, request: Request) -> None:
        """Refuse --set for arguments that download weights. Raises Refused."""
        if found := self.fetching & request.assigned.keys():
            raise refuse("no-weights", f"--set {min(found)}: a trace needs no weights and downloads none")


def library(prefix: str) -> Library | None:
    """The library of a prefix; None where there is none."""
    return _library(prefix) if prefix in prefixes() else None


def _library(prefix: str) -> Library:
    found: Library = importlib.import_module(f"vit_trace.targets.libraries.{prefix}").LIBRARY
    return found


def libraries() -> Iterator[tuple[str, Library]]:
    """Every library with its prefix."""
    return ((prefix, _library(prefix)) for prefix in prefixes())


def config_reader(spec: str) -> Library | None:
    """The library that reads a config file, or a directory that may hold one."""
    suffix, folder = Path(spec).suffix.lower(), spec != "" and os.path.isdir(spec)
    return next((one for _, one in libraries() if one.config and (folder or suffix == Path(one.config).suffix)), None)


def spec_forms() -> str:
    """The forms that a spec may have, as a message lists them."""
    names = [f"{prefix}:NAME" for prefix in prefixes()]
    files = [one.config for _, one in libraries() if one.config]
    return f"{', '.join(('FILE.yaml', *names, *files, 'FILE.py:NAME'))} or package.module:NAME"


def listed_models(pattern: str = "*") -> tuple[list[str], list[Diagnostic]]:
    """Specs that match a glob, and what to say about libraries that could not be listed.

    A name without a prefix matches in every library.
    """
    prefix, colon, rest = pattern.rpartition(":")
    glob = rest.lower() if any(sign in rest for sign in "*?[") else f"*{rest.lower()}*"
    specs: list[str] = []
    complaints: list[Diagnostic] = []
    for one, owner in libraries():
        if not colon or fnmatchcase(one, prefix):
            try:
                specs += [
                    f"{one}:{name}" for name in scanned_names(one) or owner.names() if fnmatchcase(name.lower(), glob)
                ]
            except Refused as refused:
                complaints += refused.diagnostics
    if not specs and not complaints:
        help = ("a glob, such as '*swin*' or 'hf:Dino*'",)
        complaints.append(Diagnostic("no-such-model", "error", f"no model matches {pattern}", help=help))
    return specs, complaints
