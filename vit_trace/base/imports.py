"""Finds which library does not import, and which file of the user's Python takes for one."""

import os
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from traceback import walk_tb
from types import FrameType, ModuleType

from vit_trace.base.words import exception_text


def _failed_import(error: BaseException) -> str:
    """The library whose import raised, or that an ImportError names; "" for none, or a module of vit-trace."""
    modules = [str(frame.f_globals.get("__name__", "")) for frame in _frames(error) if _is_module(frame)]
    named = (isinstance(error, ImportError) and error.name) or ""
    names = (name.partition(".")[0] for name in (*modules, named))
    return next((name for name in names if name != "vit_trace"), "")


def hiding_files(error: BaseException) -> tuple[str, ...]:
    """What to do about files with the name of a library, where a module, or a name in one, was not found."""
    if not isinstance(error, ImportError) and not isinstance(getattr(error, "obj", None), ModuleType):
        return ()
    names = [name.partition(".")[0] for name in re.findall(r"'([\w.]+)'", str(error))]
    if "partially initialized" in str(error):  # by a file that imports what is importing it
        names += [Path(frame.f_code.co_filename).stem for frame in _frames(error) if _is_module(frame)]
    files = [
        file
        for name in dict.fromkeys(names)
        for place, directory in enumerate(sys.path)
        if os.path.isfile(file := os.path.join(os.path.realpath(directory), f"{name}.py"))
        and (library := PathFinder.find_spec(name, sys.path[place + 1 :])) is not None
        and library.origin not in (None, file)
    ]
    return tuple(f"rename {os.path.relpath(file)}: Python takes it for the library {Path(file).stem}" for file in files)


def broken_library(error: Exception) -> str:
    """The diagnostic of a library that does not import, in plain text: rich may be the one; "" for a defect of ours."""
    name, help = _failed_import(error), hiding_files(error)
    if not name and not help:
        return ""
    headline = f"{name} does not import" if name else "a library is hidden by a file of the same name"
    help = help or (f"python -c 'import {name}' shows the whole traceback",)
    lines = [f"note: {exception_text(type(error).__name__, str(error))}", *(f"help: {one}" for one in help)]
    return "\n".join([f"error[library-broken]: {headline}", *lines])


def _frames(error: BaseException) -> list[FrameType]:
    return [frame for frame, _ in walk_tb(error.__traceback__)]


def _is_module(frame: FrameType) -> bool:
    return frame.f_code.co_name == "<module>"
