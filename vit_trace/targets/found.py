"""Finds the models in a config file: reads it as a tree, and asks each form of configs about each mapping in it."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, NamedTuple

from vit_trace.base.refused import Refused
from vit_trace.base.roles import ROLES
from vit_trace.base.trace import Diagnostic, Source
from vit_trace.base.words import first_few
from vit_trace.config.composed import bases_of, with_bases, with_defaults
from vit_trace.config.hyperparameters import KEYS, OTHER_NAMES, nearest_key
from vit_trace.config.interpolated import with_references
from vit_trace.config.logged import run_settings
from vit_trace.config.python_text import python_tree
from vit_trace.config.tree import TEXTS, YAML, child, every_node, read_tree, replaced
from vit_trace.config.words import COMMAND_LINE, ConfigError, Node, cut, line_span
from vit_trace.targets import forms
from vit_trace.targets.called import MODEL_KEYS
from vit_trace.targets.contents import names_defined
from vit_trace.targets.model_found import Form, ModelFound, Standing
from vit_trace.targets.objects import is_users_own

if TYPE_CHECKING:
    from vit_trace.targets.request import Request

SPEC = re.compile(rf"(?P<file>.+(?:{'|'.join(map(re.escape, (*TEXTS, '.py')))}))(?::(?P<key>[\w.-]*))?", re.I | re.S)
"""A config file, and the key of a model in it."""

OF_HUGGING_FACE = ("model_type", "architectures", "architecture", "auto_map")
"""Fields at the top of a JSON file that its own reader reads."""

MOST = 200
"""Models in one file above which it is refused."""


class Naming(NamedTuple):
    """What builds a model (no spec: the built-in ViT), with its request; `model` is None for a spec without a file."""

    spec: str | None
    request: Request
    model: ModelFound | None = None


def named_by(spec: str | None, request: Request) -> Naming:
    """What a spec names, a config file read for the one model in it. Raises Refused and ConfigError."""
    found = models_in(spec, request) if spec is not None else None
    if not found:
        return Naming(spec, request)
    if len(found) > 1:
        keys = [one.key for one in found]
        message = f"{spec} holds {len(found)} models: {first_few(keys, 8)}"
        help = tuple(f"--model-key {one}" for one in keys[:3])
        raise Refused(Diagnostic("several-models", "error", message, found[1].at, (), help))
    return Naming(found[0].spec, _request_for(_usable(found[0], request), request), found[0])


def config_of_spec(spec: str) -> tuple[FilePath, str] | None:
    """The file and the key of a spec that names a config file; None for any other."""
    found = SPEC.fullmatch(spec)
    if found is None or (found["key"] is None and os.path.isdir(spec)):
        return None
    return FilePath(found["file"]), found["key"] or ""


def models_in(spec: str, request: Request) -> list[ModelFound]:
    """The models in the config file that a spec names, each with its path; none where it is no such file.

    A file of the built-in ViT's keys alone is one model, whatever is wrong with them. Raises Refused and ConfigError.
    """
    named = config_of_spec(spec)
    if named is None:
        return []
    file, key = named
    tree = _python_config(file, key) if file.suffix.lower() == ".py" else _text_config(file)
    if tree is None:
        return []
    key = key or request.model_key or ""
    applied, whole = _overridden(tree, request)
    path = tuple(part for part in key.split(".") if part)
    start = child(whole, *path) if path else whole
    found = list(_search(start, Standing(path, whole, file, bool(path)))) if start is not None else []
    if not found and start is not None and _is_ours(start, bool(path), file):
        found = [ModelFound(None, start.span, entries=start.entries, path=path)]
    if not found or len(found) > MOST:
        raise Refused(_no_model(whole, file, key) if not found else _too_many(file, found[0].at))
    return [replace(one, overridden=_applied_to(one, applied, whole)) for one in _likely(found)]


def _likely(found: list[ModelFound]) -> list[ModelFound]:
    """The models that stand under a key that says so, where there are such and others."""
    sure = [one for one in found if MODEL_KEYS & {str(step) for step in one.path}]
    return sure if sure and len(sure) < len(found) else found


def _applied_to(found: ModelFound, applied: frozenset[str], whole: Node) -> frozenset[str]:
    """The names of --set that need not be given to the model too, being in the file's values already."""
    return frozenset(name for name in applied if "." in name or name not in found.settings or not found.path)


def _usable(found: ModelFound, request: Request) -> ModelFound:
    """The model, where it can be used. Raises Refused."""
    if found.refused is not None:
        raise Refused(found.refused)
    if found.unknown:
        raise Refused(*found.unknown)
    if (found.imports or found.objects) and request.no_import:
        name, at = (found.spec, found.at) if found.imports else (found.objects[0].text, found.objects[0].span)
        message = f"{name} is your own code, and --no-import forbids importing it"
        raise Refused(Diagnostic("needs-import", "error", message, at, (), ("leave --no-import out",)))
    if (other := next((one for one in found.objects if not is_users_own(one.text)), None)) is not None:
        message = f"{other.text} is not in this directory, and other code is not imported for a config"
        help = ("run vit-trace in the directory from which your training is started",)
        raise Refused(Diagnostic("needs-import", "error", message, other.span, (), help))
    return found


def _request_for(found: ModelFound, request: Request) -> Request:
    """The request with the settings of the file below those of the command line."""
    own = (text for text in request.assignments if text.partition("=")[0].strip() not in found.overridden)
    own = (text.removeprefix(f"{found.key}.").removeprefix("init_args.") for text in own)
    flags = dict(request.flags)
    if found.image is not None and not (request.assigned.keys() - found.overridden) & {*ROLES["image"]}:
        flags.setdefault("image_size", _size_text(found.image))
    texts = found.texts() if found.spec is not None else ()
    inputs = request.inputs or found.inputs
    return replace(request, assignments=(*texts, *own), flags=flags, inputs=inputs, model_key=None)


def _size_text(node: Node) -> str:
    sides = [item.text for item in node.items[-2:]] if node.kind == "list" else [node.text]
    return "x".join(sides)


def _text_config(file: FilePath) -> Node | None:
    """The tree of a YAML, TOML or JSON file; None for JSON that another reader reads. Raises ConfigError."""
    if file.suffix.lower() != ".json":
        return _tree(file)
    try:
        tree = _tree(file)
    except ConfigError as error:
        if error.diagnostics[0].code == "config-too-large":
            raise
        return None
    own = any(child(tree, name) is not None for name in OF_HUGGING_FACE)
    return None if own or not tree.entries else tree


def _python_config(file: FilePath, name: str) -> Node | None:
    """The dicts and dataclasses of a Python file, where it is named for one of them; None for a model's code."""
    try:
        tree = _tree(file)
    except ConfigError:
        return None
    if name:
        found = child(tree, *name.split("."))
        return tree if found is not None and found.kind == "mapping" else None
    code = [one for one in names_defined(str(file)) if (held := child(tree, one)) is None or held.kind != "mapping"]
    return tree if not code and any(value.kind == "mapping" for _, value in tree.entries) else None


def _tree(file: FilePath) -> Node:
    try:
        state = os.stat(file)
    except (OSError, ValueError):
        return _read.__wrapped__(file)  # which says why
    return _read(file, os.getcwd(), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=16)
def _read(file: FilePath, *_: object) -> Node:
    if file.suffix.lower() == ".py":
        return with_bases(python_tree(file), file, python_tree)
    return run_settings(with_bases(with_defaults(read_tree(file), file), file, read_tree), file)


def _overridden(tree: Node, request: Request) -> tuple[frozenset[str], Node]:
    """The tree with its references resolved, after --set has replaced the values that it names; and those names."""
    applied = set()
    for text in request.assignments:
        name, equals, value = (part.strip() for part in text.partition("="))
        path = tuple(name.split("."))
        held = child(tree, *path)
        if equals and (child(tree, *path[:-1]) if len(path) > 1 else held) is not None:
            line = f"--set {text}"
            span = line_span(COMMAND_LINE, 1, line, len(line) - len(value), len(line))
            tree = replaced(tree, path, Node("text", span, value))
            applied.add(name)
    return frozenset(applied), with_references(tree)


@cache
def all_forms() -> tuple[Form, ...]:
    """Every form, those of a lower rank first."""
    names = [one.name for one in pkgutil.iter_modules(forms.__path__)]
    found = [importlib.import_module(f"{forms.__name__}.{name}").FORM for name in names]
    return tuple(sorted(found, key=lambda one: one.rank))


def _search(node: Node, site: Standing) -> Iterator[ModelFound]:
    """The models in a mapping: what names its model comes before what stands inside it, hyperparameters alone after."""
    sure = [form for form in all_forms() if form.sure and node.kind == "mapping"]
    found = next((one for form in sure if (one := form.find(node, site)) is not None), None)
    if found is not None and not found.outer:
        yield replace(found, path=site.path)
        return
    below = site._replace(sure=site.sure or found is not None, named=False)
    inner = [one for key, value in node.entries for one in _inside(value, below, key.text)]
    inner += [one for at, item in enumerate(node.items) for one in _inside(item, below, at)]
    if not inner and found is not None:
        inner = [replace(found, path=site.path)]
    if not inner and node.kind == "mapping" and not site.sure:
        unsure = (form.find(node, site) for form in all_forms() if not form.sure)
        inner = [replace(one, path=site.path) for one in unsure if one is not None][:1]
    yield from inner


def _inside(node: Node, site: Standing, step: str | int) -> Iterator[ModelFound]:
    if node.kind in ("mapping", "list"):
        yield from _search(node, site._replace(path=(*site.path, step)))


def _is_ours(node: Node, named: bool, file: FilePath) -> bool:
    """Whether a mapping is read as settings of the built-in ViT: it is named as a model, or flat with such a key."""
    if named or not node.entries:
        return True
    if child(node, "_target_") is not None or child(node, "class_path") is not None:
        return False
    flat = all(value.kind != "mapping" or key.text in KEYS for key, value in node.entries)
    keys = [key for key, _ in node.entries[:100]]
    plain = {key.text.replace("-", "_").lower() for key in keys}
    known = plain & {*KEYS, *OTHER_NAMES} or all(nearest_key(key.text) is not None for key in keys)
    return file.suffix.lower() in YAML and flat and (bool(known) or any(key.kind != "text" for key in keys))


KINDS: dict[str, tuple[str, ...]] = {
    "a workflow of GitHub": ("on", "jobs"),
    "a file of Docker Compose": ("services",),
    "a manifest of Kubernetes": ("apiVersion", "kind"),
    "a sweep of wandb, which holds lists of values": ("method", "parameters"),
    "a config of an image processor": ("image_processor_type",),
    "a config of a tokenizer": ("tokenizer_class",),
    "a project's settings": ("build-system",),
    "a chart or an environment": ("dependencies",),
}
"""What a file is that has all of these keys."""


def _no_model(tree: Node, file: FilePath, key: str) -> Diagnostic:
    """Says that there is no model, which kind of file it seems to be, and what to write."""
    span, keys = tree.entries[0][0].span if tree.entries else tree.span, [one.text for one, _ in tree.entries]
    if len(keys) == 1:
        keys = [f"{keys[0]}.{one.text}" for one, _ in tree.entries[0][1].entries] or keys
    variant = next(
        (node for _, node in every_node(tree) if re.fullmatch(r"(Ti|S|B|L|H|g|G|So400m)/\d+", node.text)), None
    )
    if variant is not None and file.suffix == ".py":
        message = f"{file} seems to be a config of big_vision, whose models are JAX's: they are not traced"
        size = dict(Ti="tiny", S="small", B="base", L="large", H="huge", g="giant", G="gigantic").get(variant.text[:-3])
        near = f"vit_{size or 'so400m'}_patch{variant.text.rpartition('/')[2]}"
        return Diagnostic("not-a-config", "error", message, variant.span, (), (f"vit-trace models 'timm:{near}*'",))
    if key and child(tree, *key.split(".")) is None:
        nested = [one.text for one, value in tree.entries if value.kind == "mapping"] or keys
        help = (f"its keys are {first_few([cut(one) for one in nested], 8)}",)
        return Diagnostic("not-a-config", "error", f"{file} has no key {cut(key)}", span, (), help)
    kind = next((kind for kind, needed in KINDS.items() if {*needed} <= {*keys}), None)
    seems = f"it seems to be {kind}" if kind else f"its keys are {first_few([cut(one) for one in keys], 8)}"
    missing = [one for one in bases_of(tree) if not (file.parent / one).is_file()]
    seems = f"it is based on {cut(missing[0])}, which is not there" if missing else seems
    ways = ("name the key of the model's settings: --model-key KEY", "or the class that builds it: FILE.py:CLASS")
    return Diagnostic("not-a-config", "error", f"{file} holds no model that is known here", span, (seems,), ways)


def _too_many(file: FilePath, at: Source) -> Diagnostic:
    message = f"{file} holds more than {MOST} models"
    return Diagnostic("several-models", "error", message, at, (), ("name one of them: --model-key KEY",))
