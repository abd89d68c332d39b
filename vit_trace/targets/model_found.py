"""Defines the forms of configs, and what one finds: a model as a spec with settings that have places in the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from msgspec.structs import replace

from vit_trace.base.roles import ROLES, Path
from vit_trace.base.trace import Diagnostic, Source
from vit_trace.config.page import unknown_value
from vit_trace.config.tree import child, every_node, text_at, value_of_node
from vit_trace.config.words import NO_VALUE, Entry, Node
from vit_trace.targets.assignments import literal
from vit_trace.targets.objects import NAMES, is_of_library

NOT_HERE = "Interpolation key"
"""How OmegaConf says that a reference leads to a key that is not in the config."""

Settings = Mapping[str, Node]
"""Arguments of a model, under the library's names."""


class Standing(NamedTuple):
    """Where a mapping stands: its path, the whole file and its path; the mapping is `named` where the user named it.

    Only forms that name their model count where they have to be `sure`.
    """

    path: Path
    root: Node
    file: FilePath
    named: bool = False
    sure: bool = False

    @property
    def key(self) -> str:
        """The last name on the path; "" for the whole file."""
        return next((str(one) for one in reversed(self.path) if isinstance(one, str)), "")


@dataclass(frozen=True)
class ModelFound:
    """A model in a file: its spec (None for the built-in ViT) and settings, or why it cannot be used.

    `at` is where the file says which model it is; `image` the size of the images it is fed, or `inputs`
    what it is fed; `entries` the settings of
    the built-in ViT; `imports` whether the user's own code is imported for it; an `outer` one
    does not count where models stand inside it. `overridden` are names of --set that replaced values of the file.
    """

    spec: str | None
    at: Source
    settings: Settings = field(default_factory=dict)
    image: Node | None = None
    batch: Node | None = None
    inputs: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    refused: Diagnostic | None = None
    imports: bool = False
    outer: bool = False
    path: Path = ()
    overridden: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """The path as `--model-key` takes it."""
        return ".".join(map(str, self.path))

    @property
    def unknown(self) -> list[Diagnostic]:
        """What is wrong with settings whose value is not known."""
        entries = [(key.text, value) for key, value in self.entries if value.kind == "unresolved value"]
        held = [*self.settings.items(), *entries, ("image_size", self.image), ("batch_size", self.batch)]
        nodes = [(name, node) for name, one in held if one is not None for _, node in every_node(one)]
        found = [(name, unknown_value(node)) for name, node in nodes if node.kind not in ("text", "list", "mapping")]
        prefix = f"{self.key}." if self.path else ""
        given = ((one, f"{one.help[0]}, or give it: --set {prefix}{name}=VALUE") for name, one in found)
        return [replace(one, help=(help,)) if one.code == "unresolved-value" else one for one, help in given]

    @property
    def is_part(self) -> bool:
        """Whether the model is a part of a config: all that is wrong are references to other parts."""
        nodes = [*self.settings.values(), *(value for _, value in self.entries)]
        return any(node.kind == "unresolved value" and NOT_HERE in node.text for node in nodes)

    @property
    def objects(self) -> list[Node]:
        """The names of the user's own code that makes what is given to the model."""
        nodes = [node for one in self.settings.values() for _, node in every_node(one)]
        found = [child(node, key) for node in nodes for key in NAMES if text_at(node, key)]
        return [one for one in found if one is not None and not is_of_library(one.text)]

    @property
    def places(self) -> dict[Path, Source]:
        """The places of all settings, by the path of the argument."""
        sized = {(name,): self.image.span for name in ROLES["image"]} if self.image is not None else {}
        inside = ((name, path, one) for name, node in self.settings.items() for path, one in every_node(node))
        return sized | {(name, *path): one.span for name, path, one in inside}

    def texts(self) -> tuple[str, ...]:
        """The settings as --set takes them."""
        batch = (f"batch_size={self.batch.text}",) if self.batch is not None else ()
        return (*(f"{name}={setting_text(value_of_node(node))}" for name, node in self.settings.items()), *batch)


def setting_text(value: Any) -> str:
    """A value as --set reads it back."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) and literal(value) == value else repr(value)


Finder = Callable[[Node, Standing], ModelFound | None]


@dataclass(frozen=True)
class Form:
    """A form of configs: what finds its model in one mapping, forms of a lower `rank` first.

    A `sure` form names its model; one that is not counts only where no sure one stands in the same mapping.
    """

    find: Finder
    rank: int
    sure: bool = True


def refused(code: str, message: str, at: Source, *help: str, notes: Iterable[str] = ()) -> ModelFound:
    """A model that cannot be used, in one diagnostic."""
    return ModelFound(None, at, refused=Diagnostic(code, "error", message, at, tuple(notes), help))


def installed(package: str) -> bool:
    """Whether a package can be imported, found without importing it."""
    if os.path.isdir(package) or os.path.isfile(f"{package}.py"):
        return True
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def is_empty(node: Node) -> bool:
    """Whether a value is null, or nothing."""
    return node.kind == "text" and not node.quoted and node.text.lower() in (*NO_VALUE, "none")
