"""Finds the image size that a library gives each of its models, and its parameters, in the text of its files.

Nothing is imported. timm's and torchvision's are those of the weights that they offer, transformers' the default of the
config. A model whose library says nothing has none.
"""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

TIMM_DEFAULT = re.compile(r"^def (_\w*)\((?:(?!^def ).)*?['\"]input_size['\"]: \(\d+, (\d+), (\d+)\)", re.M | re.S)
TIMM_ENTRY = re.compile(r"""^    ['"]([\w-]+)(?:\.([\w.-]*))?(\*?)['"]: (\w+)\(""", re.M)
TIMM_SIZE = re.compile(r"\binput_size=\(\d+, (\d+), (\d+)\)")

TORCHVISION_MODEL = re.compile(r"^def (\w+)\(\s*\*,\s*weights: Optional\[(\w+)\]", re.M)
TORCHVISION_WEIGHTS = re.compile(r"^class (\w+)\(WeightsEnum\):\n(.*?)(?=^\S)", re.M | re.S)
TORCHVISION_ENTRY = re.compile(r"^    \w+ = Weights\(\n(.*?)^    \)", re.M | re.S)

HF_CONFIG = re.compile(r"^class (\w+Config)\b(.*?)(?=^class |\Z)", re.M | re.S)
HF_SIZE = re.compile(r"^\s+image_size\b[^=\n]*=\s*[\(\[]?(\d+)(?:, (\d+)[\)\]])?,?$", re.M)


class SaidSizes(NamedTuple):
    """Height and width of the images, and the number of parameters; None where the library does not say."""

    image: tuple[int, int] | None = None
    parameters: int | None = None


NOTHING = SaidSizes()


def given_sizes(prefix: str) -> dict[str, SaidSizes]:
    """What a library says of its models, by name; empty where it is not installed or not known."""
    if prefix not in FINDERS:
        return {}
    package, glob, finder = FINDERS[prefix]
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        return {}
    files = sorted(Path(found.submodule_search_locations[0]).glob(glob))
    return {name: given for file in files for name, given in finder(file.read_text(errors="replace"))}


def _timm(text: str) -> Iterator[tuple[str, SaidSizes]]:
    """The size of a model's default weights: those with a star or without a tag, else the first that can be had."""
    defaults = {name: (int(height), int(width)) for name, height, width in TIMM_DEFAULT.findall(text)}
    chosen: dict[str, tuple[int, tuple[int, int] | None]] = {}
    entries = list(TIMM_ENTRY.finditer(text))
    for entry, after in zip_longest(entries, entries[1:]):
        name, tag, star, maker = entry.groups()
        about = text[entry.end() : after.start() if after else None].partition("\n}")[0]
        size = TIMM_SIZE.search(about)
        image = (int(size[1]), int(size[2])) if size else defaults.get(maker)
        there = "url=" in about or "hf_hub" in about
        rank = 2 if star or (there and not tag) else int(there)
        if name not in chosen or rank > chosen[name][0]:
            chosen[name] = rank, image
    yield from ((name, SaidSizes(image)) for name, (_, image) in chosen.items() if image is not None)


def _torchvision(text: str) -> Iterator[tuple[str, SaidSizes]]:
    """The smallest images among the weights of a model: those that its constructor takes."""
    weights = dict(TORCHVISION_WEIGHTS.findall(text))
    for name, kind in TORCHVISION_MODEL.findall(text):
        given = []
        for entry in TORCHVISION_ENTRY.findall(weights.get(kind, "")):
            size, count = (re.search(rf"\b{field}\D{{1,3}}(\d+)", entry) for field in ("crop_size", "num_params"))
            if count is not None:
                given.append((int(size[1]) if size else 0, int(count[1])))
        if given:
            side, parameters = min(given)
            yield name, SaidSizes((side, side) if side else None, parameters)


def _hf(text: str) -> Iterator[tuple[str, SaidSizes]]:
    for name, body in HF_CONFIG.findall(text):
        if size := HF_SIZE.search(body):
            yield name, SaidSizes((int(size[1]), int(size[2] or size[1])))


FINDERS = {
    "timm": ("timm", "models/**/*.py", _timm),
    "torchvision": ("torchvision", "models/**/*.py", _torchvision),
    "hf": ("transformers", "models/*/configuration_*.py", _hf),
}
"""Prefix of a spec -> its package, its files, and what finds the sizes in the text of one."""
