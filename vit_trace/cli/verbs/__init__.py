"""Finds the verbs in this folder: NAME.py holds the function NAME that runs `vit-trace NAME`, and is imported late."""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

DEFAULT = "trace"
"""The verb of a command line that names none."""


def verb_names() -> list[str]:
    """All verbs, the default one first."""
    others = sorted({module.name for module in iter_modules(__path__)} - {DEFAULT})
    return [DEFAULT, *others]


def load_verb(name: str) -> Callable[..., int]:
    """The function that runs a verb."""
    function: Callable[..., int] = getattr(import_module(f"{__name__}.{name}"), name)
    return function
