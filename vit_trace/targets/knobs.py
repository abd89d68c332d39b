"""The sizes of somebody else's model that can be turned: found in its arguments or config, named in the field's words.

A knob is one quantity; it may stand in several places (a list of widths that doubles is one knob). Works on plain
values by their names: no torch, no library.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

from vit_trace.base.roles import ROLES, Path

Changes = dict[Path, Any]


WORDS = {
    "channels": ("c", "channels"),
    "classes": ("classes", "classes"),
    "frames": ("T", "frames"),
    "patch": ("p", "side of a patch"),
    "frame_patch": ("pt", "frames of a patch"),
    "dim": ("dim", "width of a token"),
    "heads": ("heads", "attention heads"),
    "dim_head": ("dim_head", "width of a head"),
    "mlp_dim": ("mlp_dim", "hidden width of the feed-forward"),
    "window": ("window", "side of a window"),
}
"""Symbol and meaning of each role."""

WIDTH = re.compile(r"(dims?|width|hidden_sizes?|channels?|chs|features|planes)(\[\d+\])?$")
"""Names of widths that are not the model's first."""

STRUCTURE = re.compile(
    r"depth|layer|block|stage|scale|ind(ex|ices)|stride|kernel|pad|dilation|seed|version|token_id|_id$|repeat|iter|"
    r"level|degree|group|ratio|interval|dtype|^max_|^min_|vocab|rank|every|offset|start|end$|sr_|mode|shuffle|epoch|"
    r"position_embeddings|drop|_every|q_pool|recurr|num_queries|points|top_?k|downsample|upsample|freq|nms|axes|"
    r"fpn|branch|parallel|expert|reduction|conv_|^pool|chunk|beams|length|expan|factor|mult|order|num_sources|_loc|bottleneck"
)
"""Names of what decides the structure of a model, or nothing at all: not turned."""


@dataclass(frozen=True)
class Knob:
    """One quantity: its symbol, its value here, and the places it stands in with the factor it has there."""

    symbol: str
    value: int
    role: str
    name: str
    places: tuple[tuple[Path, int], ...]
    meaning: str = ""

    @property
    def container(self) -> Path:
        """Where its name stands: knobs of one container belong to one network."""
        path = self.places[0][0]
        return path[:-1] if isinstance(path[-1], str) else path[:-2]

    @property
    def place(self) -> int:
        """Which of a list it is; 0 for one that stands alone."""
        found = re.search(r"\[(\d+)\]$", self.symbol)
        return int(found[1]) if found else 0

    @property
    def prefix(self) -> str:
        """decoder_ of decoder_hidden_size."""
        found = re.match(r"(?:decoder|encoder|sm|lg|text|vision|predictor|pred)_", self.name)
        return found[0] if found else ""

    @property
    def wide(self) -> bool:
        """Whether one of the others is a width by its name: a multiple of what divides widths."""
        return self.role == "other" and bool(WIDTH.search(self.name))

    @property
    def counts(self) -> bool:
        """Whether one of the others counts heads."""
        return self.role == "other" and "heads" in self.name

    def changes(self, value: int) -> Changes:
        return {path: value * factor for path, factor in self.places}


def knobs_of(arguments: Mapping[str, Any]) -> tuple[Knob, ...]:
    """The knobs among arguments, configs and whatever they hold; image sizes are no knobs (`image_places`)."""
    found: list[Knob] = []
    taken: set[str] = set()
    for path, value in sorted(numbers(arguments), key=lambda item: (len(item[0]), "text" in str(item[0]))):
        knob = knob_at(path, value, taken)
        found += knob
        taken |= {one.symbol for one in knob}
    return tuple(found)


def numbers(value: Any, path: Path = (), depth: int = 4) -> Iterator[tuple[Path, int | Sequence[int]]]:
    """(path, whole number or sequence of them) for all that nested mappings, dataclasses and configs hold."""
    if isinstance(value, Mapping):
        inner = list(value.items())
    elif is_config(value) or (is_dataclass(value) and not isinstance(value, type)):
        inner = [(name, held) for name, held in vars(value).items() if not name.startswith("_")]
        if is_config(value) and "num_labels" not in vars(value) and hasattr(type(value), "num_labels"):
            inner.append(("num_labels", value.num_labels))
    else:
        return
    for name, held in inner:
        if not isinstance(name, str) or name in ("id2label", "label2id"):
            continue
        if whole(held) or (isinstance(held, (tuple, list)) and 0 < len(held) <= 8 and all(map(whole, held))):
            yield (*path, name), held
        elif depth:
            yield from numbers(held, (*path, name), depth - 1)


def whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_config(value: object) -> bool:
    """Whether it is a Hugging Face config, told without importing transformers."""
    return any(base.__name__ in ("PretrainedConfig", "PreTrainedConfig") for base in type(value).__mro__)


def role_of(name: str) -> str:
    """What the parameter is by its name; "" for one that is not turned."""
    for role, names in ROLES.items():
        if name in names:
            return role
    return "" if STRUCTURE.search(name) and not WIDTH.search(name) else "other"


def knob_at(path: Path, value: int | Sequence[int], taken: set[str]) -> list[Knob]:
    """The knobs of one parameter: one for a number or a list that doubles, one each for other lists."""
    name = str(path[-1])
    role = role_of(name)
    if role in ("", "image"):
        return []
    if isinstance(value, int):
        if value < 1 or (value == 1 and role in ("other", "mlp_dim", "window", "dim_head")):
            return []
        return [knob(path, name, role, value, ((path, 1),), taken)]
    values = list(value)
    if any(one < 1 for one in values) or (role == "other" and len(values) < 2):
        return []
    factors = [one // values[0] for one in values]
    doubles = all(
        one == values[0] * factor and factor & (factor - 1) == 0 for one, factor in zip(values, factors, strict=True)
    )
    if doubles and role != "other":
        places = tuple(((*path, place), factor) for place, factor in enumerate(factors))
        return [knob(path, name, role, values[0], places, taken)]
    if role in ("channels", "classes", "other"):
        return []
    found = []
    for place, one in enumerate(values):
        symbol = f"p{place + 1}" if role == "patch" and len(values) == 2 else f"{name}[{place}]"
        meaning = f"{WORDS[role][1]}, stage {place + 1}"
        found.append(Knob(unique(symbol, taken), one, role, f"{name}[{place}]", (((*path, place), 1),), meaning))
    return found


def knob(path: Path, name: str, role: str, value: int, places: tuple[tuple[Path, int], ...], taken: set[str]) -> Knob:
    """A knob under the field's word for it, or its own name with its container where the word is taken."""
    word, meaning = WORDS.get(role, (name, name.replace("_", " ")))
    container = next((str(part) for part in reversed(path[:-1]) if isinstance(part, str)), "")
    prefix = re.sub(r"_?(config|cfg)$", "", container)
    if word in taken:
        word = name if name not in taken else word
    if word in taken and prefix:
        word = f"{prefix}_{word}"
    index = "[0]" if len(places) > 1 else ""
    return Knob(unique(word, taken), value, role, name + index, places, meaning)


def unique(symbol: str, taken: set[str]) -> str:
    """The symbol, with a number behind it where it is taken."""
    name, count = symbol, 2
    while name in taken or name in ("b", "H", "W", "h", "w", "n", "t"):
        name, count = f"{symbol}_{count}", count + 1
    return name


def image_places(arguments: Mapping[str, Any]) -> tuple[tuple[Path, Any], ...]:
    """(path, value) of every parameter that holds the image size, as it is given: 224, (224, 224), a mapping."""
    found = []
    for path, value in nested(arguments):
        if path[-1] in ROLES["image"] and "text" not in str(path):
            found.append((path, value))
    return tuple(found)


def nested(value: Any, path: Path = (), depth: int = 4) -> Iterator[tuple[Path, Any]]:
    """(path, value) of everything that mappings, dataclasses and configs hold."""
    if isinstance(value, Mapping):
        inner = list(value.items())
    elif is_config(value) or (is_dataclass(value) and not isinstance(value, type)):
        inner = [(name, held) for name, held in vars(value).items() if not name.startswith("_")]
    else:
        return
    for name, held in inner:
        if isinstance(name, str):
            yield (*path, name), held
            if depth:
                yield from nested(held, (*path, name), depth - 1)


def number(arguments: Mapping[str, Any], role: str) -> int | None:
    """The first whole number among the arguments with that role."""
    for path, value in nested(arguments):
        if path[-1] in ROLES[role] and isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def image_changes(places: Sequence[tuple[Path, Any]], height: int, width: int) -> Changes:
    """The image size in the form each place has it; two numbers where it held one and the image is not square."""
    changes: Changes = {}
    for path, value in places:
        if isinstance(value, Mapping):
            changes[path] = {**value, "height": height, "width": width}
        elif isinstance(value, (tuple, list)) and len(value) >= 2:
            changes[path] = type(value)((*value[:-2], height, width))
        elif isinstance(value, (tuple, list)):
            changes[path] = type(value)((height,))
        elif path[-1] == "image_height":
            changes[path] = height
        elif path[-1] == "image_width":
            changes[path] = width
        elif value is not None:
            changes[path] = height if height == width else (height, width)
    return changes


def changed(value: Any, changes: Mapping[Path, Any]) -> Any:
    """A copy of nested arguments with other values at some paths; what no path leads to is shared."""
    if () in changes:
        return changes[()]
    below: dict[str | int, dict[Path, Any]] = {}
    for path, new in changes.items():
        below.setdefault(path[0], {})[path[1:]] = new
    if not below:
        return value
    if isinstance(value, Mapping):
        made = dict(value)
        made.update({name: changed(value.get(str(name)), inner) for name, inner in below.items()})
        return made
    if isinstance(value, (tuple, list)):
        items = [changed(item, below[place]) if place in below else item for place, item in enumerate(value)]
        return type(value)(items)
    if is_dataclass(value) and not isinstance(value, type) and not is_config(value):
        return replace(value, **{str(name): changed(getattr(value, str(name)), inner) for name, inner in below.items()})
    made = copy.deepcopy(value)
    for name, inner in below.items():
        setattr(made, str(name), changed(getattr(made, str(name), None), inner))
    return made
