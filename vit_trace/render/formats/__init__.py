"""Finds output formats: the file SUBJECT/NAME.py declares the format NAME of a subject as its `FORMAT`.

Names are read from the folder; a format's file is imported once it is asked for, and imports what it writes with late.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import IO, Any, Literal, NamedTuple

Subject = Literal["trace", "check", "checkpoint"]
"""What is written: a `view.screen.Viewed`, the verdicts of `check`, a `weights.holding.Holding`."""

DEFAULT = "rich"
"""The format for a person, which every subject has."""


class Format(NamedTuple):
    """How a subject is written.

    `suffixes` are the file names it is chosen for; `view` is the only view it can show; `needs_source` says that the
    trace has to hold the model's source lines; an `encoding` of "" leaves the terminal's own.
    """

    write: Callable[[Any, IO[str]], None]
    suffixes: tuple[str, ...] = ()
    view: str = ""
    needs_source: bool = False
    encoding: str = "utf-8"


def format_names(subject: Subject) -> tuple[str, ...]:
    """The formats of a subject, the default one first."""
    folder = [f"{path}/{subject}" for path in __path__]
    names = {module.name for module in iter_modules(folder)}
    return (DEFAULT, *sorted(names - {DEFAULT}))


def load_format(subject: Subject, name: str) -> Format:
    """The format that a file declares."""
    declared: Format = import_module(f"{__name__}.{subject}.{name}").FORMAT
    return declared


def formats_by_suffix(subject: Subject) -> dict[str, str]:
    """File name suffix -> the format it stands for."""
    return {suffix: name for name in format_names(subject) for suffix in load_format(subject, name).suffixes}
