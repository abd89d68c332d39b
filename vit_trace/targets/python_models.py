"""Makes models of the user's own code, package.module:NAME or FILE.py:NAME, called with the values of --set."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vit_trace.base.refused import refuse
from vit_trace.config.files import MAX_SOURCE, FileProblem, names_in, read_regular, shown_file
from vit_trace.targets import assignments
from vit_trace.targets.complaints import build_first, contained, did_you_mean, nearest_names, refusal, typed_text
from vit_trace.targets.flags import required_values
from vit_trace.targets.guess import guessed_plans, image_size_of
from vit_trace.targets.inputs import Plan
from vit_trace.targets.knobs import Changes, change_values, image_places
from vit_trace.targets.library import spec_forms
from vit_trace.targets.methods import Method, method_named, plans_of
from vit_trace.targets.recipe import Recipe, assemble
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign

if TYPE_CHECKING:
    from vit_trace.record.build.anyhow import Built


def python_model(spec: str, request: Request) -> Foreign:
    """The model that a function, a class or a variable of the user's code gives. Raises Refused."""
    where, _, name = spec.rpartition(":")
    module = _file_module(Path(where)) if where.endswith(".py") else _named_module(where)
    value = attribute(spec, module, name)
    parent, _, last = name.rpartition(".")
    method = method_named(attribute(spec, module, parent), last, value) if parent else None
    if method is not None:
        return _method_target(spec, method, request)
    make, arguments = factory(spec, value, request)
    built = build_first(spec, make, request.rules)
    called = built.call.arguments if built.call else {}
    sure = not request.given or image_size_of({**arguments, **called}) is not None
    # the arguments of the model's class say what to feed it, else those of the factory
    recipe = Recipe(spec, make, built, lambda one: guessed_plans(one, request, image_size_of(arguments)), sure=sure)
    turnable = not isinstance(value, type) and any(isinstance(one, (int, tuple, list)) for one in arguments.values())
    if turnable and (len(called) <= len(arguments) or image_places(arguments)):  # else those of the class are turned
        recipe = replace(recipe, arguments=arguments, vary=lambda changes: value(**change_values(arguments, changes)))
    return assemble(recipe, request)


def _method_target(spec: str, method: Method, request: Request) -> Foreign:
    """A method as the forward of an instance that is built as for its class. Raises Refused."""
    make, arguments = factory(spec.rpartition(".")[0], method.owner, request)
    built = build_first(spec, lambda: method.of(make()), request.rules)

    def vary(changes: Changes) -> object:
        return method.of(method.owner(**change_values(arguments, changes)))

    def plans(one: Built) -> Sequence[Plan]:
        return plans_of(method, one.model, guessed_plans(one, request, image_size_of(arguments)))

    recipe = Recipe(spec, lambda: method.of(make()), built, plans, arguments=arguments, vary=vary)
    return assemble(recipe, request)


def factory(spec: str, value: Any, request: Request) -> tuple[Callable[[], object], dict[str, Any]]:
    """What makes the model, and its arguments: those given and the defaults of the rest. Raises Refused."""
    from torch import nn

    if isinstance(value, nn.Module):
        if request.assigned:
            raise refuse("not-callable", f"{spec} is a model already: --set has nothing to set")
        return lambda: copy.deepcopy(value), {}  # theirs stays as it is
    if not callable(value):
        raise refuse("not-a-model", f"{spec} is {typed_text(value)}, not a function or class that makes a model")
    values = assignments.call_values(request.assigned, value)
    parameters = assignments.signature_of(value) or {}
    values = required_values(request.flags, assignments.missing(parameters, values)) | values
    if lacking := assignments.missing(parameters, values):
        help = " ".join(f"--set {name}=…" for name in lacking)
        more = "or name a function of yours that calls it: FILE.py:NAME"
        raise refuse("missing-hyperparameter", f"{spec} needs {', '.join(lacking)}", help=(help, more))
    kept = {name: one.default for name, one in parameters.items() if one.default is not inspect.Parameter.empty}
    return lambda: value(**values), {**kept, **values}


def _make_importable(*directories: str) -> None:
    """Let the user's code import its neighbours, as when it is run."""
    for directory in directories:
        if directory not in sys.path:
            sys.path.insert(0, directory)


def _file_module(path: Path) -> ModuleType:
    """The module in a file; as part of its package where it is in one. Raises Refused."""
    if not os.path.isfile(path):
        folder = path.parent if os.path.isdir(path.parent) else Path()
        files = [name for name in names_in(folder) if name.endswith(".py")]
        help = did_you_mean(path.name[:255], files, otherwise=f"there is {', '.join(files[:5])}" if files else "")
        raise refuse("no-such-file", f"the file {shown_file(path)} does not exist", help=help)
    try:  # Python itself reads it, without a limit
        read_regular(path, "a Python file", MAX_SOURCE)
    except FileProblem as found:
        raise refuse("not-python", found.message, notes=found.notes) from None
    path = path.resolve()
    names, folder = [path.stem], path.parent
    while os.path.isfile(folder / "__init__.py") and folder.name.isidentifier():
        names.insert(0, folder.name)
        folder = folder.parent
    _make_importable(os.getcwd(), str(folder))
    return _imported(".".join(names), str(path)) if len(names) > 1 else _loaded(path)


def _loaded(path: Path) -> ModuleType:
    """The module in a file of its own, under its own name unless that is taken."""
    name = path.stem
    if name in sys.modules or not name.isidentifier() or _taken(name, path):
        name = f"vit_trace_spec_{''.join(c if c.isalnum() else '_' for c in name)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise refuse("not-python", f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with contained():
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _failed(str(path), error) from error
    return module


def _taken(name: str, path: Path) -> bool:
    """Whether `import name` would give another file."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    return found is not None and found.origin != str(path)


def _named_module(name: str) -> ModuleType:
    """The module of that dotted name. Raises Refused."""
    if name and os.path.isfile(name):
        raise refuse("not-python", f"{name} is not a Python file: its name does not end in .py")
    if not name or not all(part.isidentifier() for part in name.split(".")):
        message = f"{name} is not a module" if name else "there is no module before the colon"
        raise refuse("unknown-target", message, help=(f"a spec is {spec_forms()}",))
    _make_importable(os.getcwd())
    return _imported(name, name)


def _imported(name: str, shown: str) -> ModuleType:
    try:
        with contained():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise _unknown_module(name, error.name) from None
        raise _failed(shown, error) from error
    except Exception as error:
        raise _failed(shown, error) from error


def _unknown_module(name: str, missing: str) -> Exception:
    """The diagnostic of a module that is not there, with those that are."""
    parent, dot, last = missing.rpartition(".")
    folders = list(getattr(sys.modules.get(parent), "__path__", [])) if parent else None
    known = [one.name for one in pkgutil.iter_modules(folders)]
    near = nearest_names(last, known, likeness=0.6)
    help = (f"did you mean {', '.join(parent + dot + one for one in near)}?" if near else f"a spec is {spec_forms()}",)
    return refuse("no-such-module", f"there is no module {missing}", help=help)


def _failed(shown: str, error: Exception) -> Exception:
    """The diagnostic of a module that does not import."""
    if isinstance(error, (SyntaxError, UnicodeDecodeError)) or "null bytes" in str(error):
        if isinstance(error, SyntaxError) and not error.lineno:
            error.filename, error.lineno, error.offset = shown, 1, 1
        return refusal("not-python", f"{shown} is not Python", error)
    return refusal("import-failed", f"{shown} does not import", error)


def attribute(spec: str, module: ModuleType, name: str) -> Any:
    """What the module has under that name. Raises Refused."""
    value: Any = module
    shown = spec.rpartition(":")[0]
    for part in name.split("."):
        if not hasattr(value, part):
            message = f"{shown} has no {part}" if part else f"{spec} names nothing after the colon"
            raise refuse("no-such-name", message, help=_instead(value, part, module))
        value, shown = getattr(value, part), f"{shown}{':' if value is module else '.'}{part}"
    return value


def _instead(value: Any, part: str, module: ModuleType) -> tuple[str, ...]:
    """What there is in place of a name that a module or class does not have."""
    own = [one for one in getattr(value, "__dict__", ()) if one[0] != "_" and callable(getattr(value, one, None))]
    makers = [one for one in own if getattr(getattr(value, one), "__module__", None) == module.__name__] or own
    if not own:
        inner = [one.name for one in pkgutil.iter_modules(getattr(value, "__path__", []))]
        return (f"its modules are {', '.join(inner[:8])}",) if inner else ()
    near = did_you_mean(part, makers) or did_you_mean(part, own) if part else ()
    return near or (f"it has {', '.join(makers[:8])}",)
