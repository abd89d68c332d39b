"""Imports the user's file or module as Python does, but not as a script: what trains on import is ended at once."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from vit_trace.base.imports import hiding_files
from vit_trace.base.leaving import Exited
from vit_trace.base.refused import Refused, refuse
from vit_trace.config.files import MAX_SOURCE, FileProblem, names_in, read_regular, shown_file
from vit_trace.targets.complaints import contained, did_you_mean, nearest_names, refusal
from vit_trace.targets.library import spec_forms


class _Training(BaseException):
    """The module trains, or reads a data loader, while it is imported."""


def module_of(where: str) -> ModuleType:
    """The module of a file or of a dotted name. Raises Refused."""
    return _file_module(Path(where)) if where.endswith(".py") else _named_module(where)


@contextmanager
def _importing(shown: str) -> Iterator[None]:
    """Runs a module's own lines: off the network, with no arguments of ours, ended where they begin to train."""
    import torch
    from torch.utils.data import DataLoader

    from vit_trace.record.build.construction import loops_counted

    def end(*_: Any, **__: Any) -> NoReturn:
        raise _Training("the import ends here")

    held: list[tuple[Any, str, Callable[..., Any]]] = [
        (torch.autograd, "backward", torch.autograd.backward),
        (DataLoader, "__iter__", DataLoader.__iter__),
    ]
    words, sys.argv = sys.argv, [shown]
    for owner, name, _ in held:
        setattr(owner, name, end)
    try:
        with contained():
            try:
                with loops_counted():
                    yield
            except _Training as ended:
                raise Exited(str(ended)).with_traceback(ended.__traceback__) from ended
    finally:
        sys.argv = words
        for owner, name, own in held:
            setattr(owner, name, own)


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
        with _importing(str(path)):
            spec.loader.exec_module(module)
    except Exception as error:
        sys.modules.pop(name, None)
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
    held = sys.modules.get(name)
    if held is not None and not getattr(held.__spec__, "_initializing", False):
        return held
    try:
        with _importing(shown):
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
    if isinstance(error, Refused):
        return error
    if isinstance(error, (SyntaxError, UnicodeDecodeError)) or "null bytes" in str(error):
        if isinstance(error, SyntaxError) and not error.lineno:
            error.filename, error.lineno, error.offset = shown, 1, 1
        return refusal("not-python", f"{shown} is not Python", error)
    run = f"vit-trace run {os.path.relpath(shown) if os.path.isabs(shown) else f'-m {shown}'}"
    if isinstance(error.__cause__, _Training):
        first = f"{run.replace('run', 'run --first', 1)} traces the first training step"
        guard = 'put the training under if __name__ == "__main__":, which an import does not run'
        return refusal("trains-on-import", f"{shown} trains while it is imported", error, (first, guard))
    script = (f"it is a script: {run} explains the shape error that ends it",) if isinstance(error, Exited) else ()
    return refusal("import-failed", f"{shown} does not import", error, (*script, *hiding_files(error)))
