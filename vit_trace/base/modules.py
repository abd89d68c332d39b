"""Imports every module of a package, so that each one registers what it holds."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules


@cache
def import_all(package: str) -> None:
    """Import the modules that stand directly in a package, by name."""
    for found in iter_modules(import_module(package).__path__):
        import_module(f"{package}.{found.name}")
