"""Lists what a Python file defines, from its text: which of its classes and functions may make a model."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from vit_trace.base.refused import Refused, refuse
from vit_trace.base.words import first_few
from vit_trace.config.files import MAX_SOURCE, FileProblem, read_regular, shown_file
from vit_trace.targets.complaints import refusal

MOST = 12
"""Names that a list shows."""

OFFERED = 3
"""Specs that the help offers."""

MODULES = ("Module", "PreTrainedModel", "Sequential", "ModuleList")
"""Ends of the names of torch's and the libraries' base classes of models."""

MAKERS = {"create_model", "get_model", "from_config", "from_pretrained"}
"""Functions of the libraries that make models."""


class _Named(NamedTuple):
    """A name that a file defines: class, function or variable, and the arguments that it needs, if these are known."""

    name: str
    kind: str
    needs: tuple[str, ...] | None = None
    whole: bool = True  # no other name of the file is made of it
    likely: bool = True  # it makes a model, as far as the text says

    def __str__(self) -> str:
        return self.name if self.needs is None else f"{self.name}({', '.join(self.needs)})"


def chosen_spec(spec: str) -> str:
    """A file or module with the only module class in it; with no name where there is no such file.

    Raises Refused with what it defines where it has other classes.
    """
    file = file_of(spec)
    if file is None:
        return f"{spec}:"
    names = _names_in(file)
    classes = [one for one in names if one.kind == "class" and one.likely]
    if len(classes) == 1:
        return f"{spec}:{classes[0].name}"
    raise _undecided(spec, names)


def names_defined(file: str) -> list[str]:
    """The names in a file that may make a model; none where it is not Python."""
    try:
        return [one.name for one in _names_in(Path(file)) if one.likely]
    except Refused:
        return []


def kind_of(module: str, name: str) -> str:
    """What a dotted module has under a name, from its text: "model", "other", or "" where there is none such."""
    file = file_of(module)
    if file is None:
        return ""
    try:
        found = next((one for one in _names_in(file) if one.name == name), None)
    except Refused:
        return ""
    return "" if found is None else "model" if found.likely else "other"


def is_lightning(module: str, name: str) -> bool:
    """Whether a class trains a network that it is given: a LightningModule, as far as its file says."""
    file = file_of(module)
    tree = ast.parse(file.read_bytes()) if file is not None and kind_of(module, name) == "model" else ast.Module([], [])
    classes = (one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name)
    return any(_last_name(base).endswith("LightningModule") for one in classes for base in one.bases)


def _undecided(spec: str, names: Sequence[_Named]) -> Refused:
    """The refusal of a file without a name, with the names in it, the likeliest first."""
    what = "which of its classes or functions" if spec.endswith(".py") else "what of that module"
    likely = sorted((one for one in names if one.likely), key=lambda one: (not one.whole, bool(one.needs)))
    help = [f"vit-trace {spec}:{one.name}" for one in likely[:OFFERED] if one.whole or not likely[0].whole]
    if spec.endswith(".py") and not any(one.kind == "class" and one.likely for one in names):
        help.append(f"vit-trace run --first {spec} traces the first forward that the script runs")
    words = {"class": "classes", "function": "functions", "variable": "models made on import"}
    kinds = {kind: [str(one) for one in (*likely, *names) if one.kind == kind] for kind in words}
    notes = [f"{words[kind]}: {first_few(list(dict.fromkeys(found)), MOST)}" for kind, found in kinds.items() if found]
    message = f"{spec} does not say {what} builds the model"
    return refuse("no-factory", message, notes=tuple(notes), help=tuple(help) or (f"vit-trace {spec}:NAME",))


def names_module(spec: str) -> bool:
    """Whether a word is the dotted name of a module that can be found, and no file."""
    return not os.path.exists(spec) and file_of(spec) is not None


def file_of(spec: str) -> Path | None:
    """The file of a path or a dotted name, found without importing it; None where there is none."""
    if spec.endswith(".py"):
        return Path(spec) if os.path.isfile(spec) else None
    parts = spec.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    starts = [Path(parts[0])]
    if not os.path.isdir(parts[0]) and not os.path.isfile(f"{parts[0]}.py"):
        with suppress(ValueError, ImportError):
            found = find_spec(parts[0])
            starts = [Path(one) for one in (found and found.submodule_search_locations) or ()]
            if found is not None and not starts and len(parts) == 1 and str(found.origin).endswith(".py"):
                return Path(str(found.origin))
    for path in (start.joinpath(*parts[1:]) for start in starts):
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if file.is_file():
                return file
    return None


def _names_in(file: Path) -> list[_Named]:
    """The public names that a file defines or, in a package, gives on. Raises Refused where it is not Python."""
    try:
        tree = ast.parse(read_regular(file, "a Python file", MAX_SOURCE), str(file))
    except FileProblem as found:
        raise refuse("not-python", found.message, notes=found.notes) from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise refusal("not-python", f"{shown_file(file)} is not Python", error) from None
    names = [*_defined(tree.body), *(_given_on(tree.body, file.parent.name) if file.name == "__init__.py" else ())]
    return [one for one in names if not one.name.startswith("_")]


def _given_on(body: Sequence[ast.stmt], package: str) -> Iterator[_Named]:
    """Classes that a package imports from its own modules; only their names are known."""
    for node in body:
        if isinstance(node, ast.ImportFrom) and (node.level or str(node.module).startswith(f"{package}.")):
            for one in node.names:
                if (name := one.asname or one.name)[:1].isupper():
                    yield _Named(name, "class")


def _defined(body: Sequence[ast.stmt]) -> Iterator[_Named]:
    """Classes, functions and models at the top level, in order."""
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    modules: set[str] = set()
    while more := {name for name, node in classes.items() if name not in modules and _is_module(node, modules)}:
        modules |= more
    makers = set(modules)
    for node in body:
        if isinstance(node, ast.ClassDef):
            whole = not any(node.name in _used(classes[other]) for other in modules - {node.name})
            own = (one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__")
            needs = next((_needs(one, skip=1) for one in own), None)
            yield _Named(node.name, "class", needs, whole, node.name in modules)
        elif isinstance(node, ast.FunctionDef):
            returns = any(isinstance(one, ast.Return) and one.value is not None for one in ast.walk(node))
            likely = returns and bool(_called(node) & (makers | MAKERS))
            makers |= {node.name} if likely else set()
            yield _Named(node.name, "function", _needs(node), True, likely)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            target = node.targets[0]
            if isinstance(target, ast.Name) and (_called(node.value) & (makers | MAKERS) or target.id == "model"):
                yield _Named(target.id, "variable")


def _is_module(node: ast.ClassDef, modules: set[str]) -> bool:
    """Whether a class is a torch.nn.Module, as far as the file says."""
    bases = {_last_name(base) for base in node.bases}
    if bases & modules or any(base.endswith(MODULES) for base in bases):
        return True
    own = any(isinstance(one, ast.FunctionDef) and one.name == "forward" for one in node.body)
    return own and bool(bases) and "Function" not in bases


def _called(node: ast.AST) -> set[str]:
    """Names of what the code inside calls."""
    return {_last_name(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}


def _used(node: ast.AST) -> set[str]:
    """Names that stand in the code inside."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _needs(node: ast.FunctionDef, skip: int = 0) -> tuple[str, ...]:
    """Arguments of a function that have no default, without the first few."""
    args = node.args
    plain = [*args.posonlyargs, *args.args]
    needed = plain[skip : len(plain) - len(args.defaults)]
    only = [one for one, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if default is None]
    return tuple(one.arg for one in (*needed, *only))
