"""Finds which installed library has a model of a name, from the text of its files: nothing is imported."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

PACKAGES = {"timm": "models", "torchvision": "models"}
"""Prefix of a spec, which is also the package -> the folder of its models."""

MOST = 3
"""Names that are offered."""

USUAL = re.compile(r"patch16_224$|b_16$|patch4_window7_224$|_(tiny|small|base)$")
"""The sizes that are tried most: they are offered first."""


def specs_named(word: str) -> list[str]:
    """Specs of the models called so, else of those whose names begin so, the usual sizes first."""
    if not re.fullmatch(r"[A-Za-z]\w{2,60}", word):
        return []
    found = [(prefix, name) for prefix in PACKAGES for name in _defined(prefix, word)]
    exact = [f"{prefix}:{name}" for prefix, name in found if name == word]
    ranked = sorted(found, key=lambda one: usual_first(one[1]))
    return exact or [f"{prefix}:{name}" for prefix, name in islice(ranked, MOST)]


def usual_first(name: str) -> tuple[bool, int, str]:
    return USUAL.search(name) is None, len(name), name


def _defined(prefix: str, word: str) -> Iterator[str]:
    """Functions of a library's models whose names begin with a word."""
    package = find_spec(prefix)
    if package is None or not package.submodule_search_locations:
        return
    pattern = re.compile(rf"^@register_model(?:.*\n@.*)*.*\ndef ({word}\w*)\(", re.MULTILINE)
    for file in sorted((Path(package.submodule_search_locations[0]) / PACKAGES[prefix]).rglob("*.py")):
        yield from pattern.findall(file.read_text(errors="replace"))
