"""Finds the names of the models that installed libraries have, in the text of their files: nothing is imported."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

REGISTERED = re.compile(r'^@register_model\b(?:\(name="(?P<given>\w+)"\))?(?s:.*?)\ndef (?P<own>\w+)\(', re.M)
"""A function that timm or torchvision registers as a model, with the name where it is given another one."""

TABLE = re.compile(r"^(\w+_MAPPING_NAMES)\b[^=\n]*= OrderedDict\((.*?)^\)", re.M | re.S)
"""A table of transformers."""

PAIR = re.compile(r'\(\s*"([^"]+)",\s*\(?\s*"(\w+)"')
"""A row of it: the kind of model, and the class."""

IMAGE_TASKS = set("IMAGE VIDEO VISION SEGMENTATION DEPTH OBJECT KEYPOINT BACKBONE MASK_GENERATION".split())
"""Words in the names of tables that list models of images."""

MOST = 3
"""Names that are offered."""

USUAL = re.compile(r"patch16_224$|b_16$|patch4_window7_224$|_(tiny|small|base)$")
"""The sizes that are tried most: they are offered first."""


def specs_named(word: str) -> list[str]:
    """Specs of the models called so, else of those whose names begin so, the usual sizes first."""
    if not re.fullmatch(r"[A-Za-z]\w{2,60}", word):
        return []
    found = [(prefix, name) for prefix in FINDERS for name in scanned_names(prefix) if name.startswith(word)]
    exact = [f"{prefix}:{name}" for prefix, name in found if name == word]
    ranked = sorted(found, key=lambda one: (one[0] == "hf", usual_first(one[1])))
    return exact or [f"{prefix}:{name}" for prefix, name in islice(ranked, MOST)]


def usual_first(name: str) -> tuple[bool, int, str]:
    return USUAL.search(name) is None, len(name), name


@cache
def scanned_names(prefix: str) -> tuple[str, ...]:
    """The sorted names of all models of a library; none where it is not installed, or written otherwise."""
    package, folder, finder = FINDERS[prefix]
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        return ()
    files = sorted(Path(found.submodule_search_locations[0], folder).rglob("*.py"))
    return tuple(sorted(set(finder([file.read_text(errors="replace") for file in files]))))


def _registered(texts: list[str]) -> Iterator[str]:
    for text in texts:
        yield from (found["given"] or found["own"] for found in REGISTERED.finditer(text))


def _configs_of_images(texts: list[str]) -> Iterator[str]:
    """Config classes of the kinds of models that a table of images lists."""
    tables = [(name, dict(PAIR.findall(body))) for text in texts for name, body in TABLE.findall(text)]
    kinds = {kind for name, table in tables if any(task in name for task in IMAGE_TASKS) for kind in table}
    for name, table in tables:
        if name == "CONFIG_MAPPING_NAMES":
            yield from (config for kind, config in table.items() if kind in kinds)


FINDERS = {
    "timm": ("timm", "models", _registered),
    "torchvision": ("torchvision", "models", _registered),
    "hf": ("transformers", "models/auto", _configs_of_images),
}
"""Prefix of a spec -> its package, the folder of its models, and what finds the names in the texts there."""
