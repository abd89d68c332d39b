"""Finds the sizes of a library's model that can be varied, in its arguments or config, and changes them.

A knob is one quantity; it may stand in several places (a list of widths that doubles is one knob). Works on plain
values by their names: no torch, no library.
"""

import copy
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, NamedTuple

from vit_trace.base.roles import RATIO, ROLES, Path, role_named

Changes = dict[Path, Any]
"""New values by the path of what they replace."""


class _RoleSymbol(NamedTuple):
    """The symbol of a role, what it means, and the group of roles that vary together."""

    name: str
    meaning: str
    group: str


SYMBOLS = {
    "channels": _RoleSymbol("c", "channels", "channels"),
    "classes": _RoleSymbol("classes", "classes", "classes"),
    "frames": _RoleSymbol("T", "frames", "frames"),
    "length": _RoleSymbol("L", "length of the series", "length"),
    "patch": _RoleSymbol("p", "patch size", "patch"),
    "frame_patch": _RoleSymbol("pt", "frames per patch", "frames"),
    "dim": _RoleSymbol("dim", "embedding dimension", "width"),
    "heads": _RoleSymbol("heads", "attention heads", "width"),
    "dim_head": _RoleSymbol("dim_head", "head dimension", "width"),
    "mlp_dim": _RoleSymbol("mlp_dim", "hidden dimension of the feed-forward", "width"),
    "window": _RoleSymbol("window", "window size", "window"),
}
"""The symbol of each role; a quantity of another role is its own symbol."""

WIDTH = re.compile(r"(dims?|width|hidden_sizes?|channels?|chs|features|planes)(\[\d+\])?$")
"""Names of widths beside the embedding dimension."""

INNER = re.compile(r"(key|head|qk|value)_(dims?|channels?|width)(\[\d+\])?$")
"""Names of the width of a head, of its keys or values."""


class Leaf(NamedTuple):
    """One number that an argument holds, or an element of a list of them: its name, its path and its value."""

    name: str
    path: Path
    value: int | float


RESERVED = frozenset("b H W h w n t".split())
"""Symbols of the input and its grid, which no knob may have."""


@dataclass(frozen=True)
class Knob:
    """One quantity: its symbol, its value in this model, and each path to it with the factor it has there."""

    symbol: str
    value: int
    role: str
    name: str
    places: tuple[tuple[Path, int], ...]
    meaning: str = ""
    parts: tuple["Knob", ...] = ()  # where it stands for a list whose elements change together: each alone
    tiles: bool = False  # whether there is less of something the larger it is: the side of a window, a stride

    @property
    def container(self) -> Path:
        """The path of what holds its name: knobs of one container belong to one network."""
        path = self.places[0][0]
        return path[:-1] if isinstance(path[-1], str) else path[:-2]

    @property
    def place(self) -> int:
        """Its index in a list of widths; 0 outside a list."""
        found = re.search(r"\[(\d+)\]$", self.symbol)
        return int(found[1]) if found else 0

    @property
    def prefix(self) -> str:
        """The network it belongs to by its name: decoder_ in decoder_hidden_size."""
        found = re.match(r"(?:decoder|encoder|sm|lg|text|vision|predictor|pred)_", self.name)
        return found[0] if found else ""

    @property
    def wide(self) -> bool:
        """Whether a knob without a role is a width by its name, and so a multiple of what divides widths."""
        return self.role == "other" and bool(WIDTH.search(self.name)) and not self.inner

    @property
    def inner(self) -> bool:
        """Whether a knob without a role is the width of a head by its name, which is no more than its network's."""
        return self.role == "other" and bool(INNER.search(self.name))

    @property
    def counts(self) -> bool:
        """Whether a knob without a role counts heads."""
        return self.role == "other" and "heads" in self.name

    def changes(self, value: int) -> Changes:
        return {path: value * factor for path, factor in self.places}


def knobs_of(arguments: Mapping[str, Any]) -> tuple[Knob, ...]:
    """The knobs among arguments, configs and what these hold; image sizes are no knobs (see `image_places`)."""
    found: list[Knob] = []
    taken = set(RESERVED)
    for path, value in sorted(integers(arguments), key=lambda item: (len(item[0]), "text" in str(item[0]))):
        for one in _knobs_at(path, value):
            symbol = _free_symbol(one, taken)
            taken.add(symbol)
            found.append(replace(one, symbol=symbol))
    return tuple(found)


def leaves_of(arguments: Mapping[str, Any], taken: set[Path]) -> list[Leaf]:
    """Every number that a model may be made of, but for the image size, its labels and the paths taken by knobs.

    One of a record in a list has the list's name before its own: blocks[2].width.
    """
    images = {path for path, _ in image_places(arguments)}
    found: dict[Path, Leaf] = {}
    for path, value in walk_values(arguments, lists=True):
        if path in images or path[-1] in LABELS or (len(path) > 1 and path[-2] in LABELS):
            continue
        for inner, number in _numbers(value, path):
            ratio = isinstance(number, float) and RATIO.search(str(path[-1])) and number > 0
            if (ratio or (is_integer(number) and number >= 0)) and taken.isdisjoint((inner, path)):
                found[inner] = Leaf(_leaf_name(inner, len(path)), inner, number)
    return list(found.values())


def _leaf_name(path: Path, own: int) -> str:
    """The name of a number by its path, whose first `own` parts lead to the argument that holds it."""
    place = next((at for at, part in enumerate(path[:own]) if isinstance(part, int)), own)
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path[place - 1 :]]
    return "".join(parts).removeprefix(".")


def _numbers(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """(path, number) of a number or of those in nested lists, unless these are long."""
    if isinstance(value, (tuple, list)):
        for place, one in enumerate(value if len(value) <= LONGEST_LIST and len(path) < DEEPEST else ()):
            yield from _numbers(one, (*path, place))
    else:
        yield path, value


def integers(arguments: Mapping[str, Any]) -> Iterator[tuple[Path, int | Sequence[int]]]:
    """(path, value) of every whole number, or short sequence of them, that nested arguments hold."""
    for path, value in walk_values(arguments):
        if path[-1] in LABELS or (len(path) > 1 and path[-2] in LABELS):
            continue
        parts = value if isinstance(value, (tuple, list)) and len(value) <= 8 else [value]
        if parts and all(map(is_integer, parts)):
            yield path, value
        elif is_config(value) and "num_labels" not in vars(value) and hasattr(type(value), "num_labels"):
            yield (*path, "num_labels"), value.num_labels


LONGEST_LIST = 16
"""Elements of a list above which it is data, not hyperparameters."""

DEEPEST = 8
"""Parts of a path beyond which no list is looked into; one may hold itself."""

LABELS = ("id2label", "label2id")
"""Fields of a config that follow from its number of classes."""


def walk_values(value: Any, path: Path = (), depth: int = 4, lists: bool = False) -> Iterator[tuple[Path, Any]]:
    """(path, value) of everything that mappings, dataclasses and configs hold; with `lists` also those in lists."""
    inner: list[tuple[Any, Any]]
    if isinstance(value, Mapping):
        inner = list(value.items())
    elif lists and isinstance(value, (tuple, list)) and len(path) < DEEPEST:
        for place, held in enumerate(value if len(value) <= LONGEST_LIST else ()):
            yield from walk_values(held, (*path, place), depth, lists)
        return
    elif is_config(value) or _is_record(value):
        inner = [(name, held) for name, held in vars(value).items() if not name.startswith("_")]
    else:
        return
    for name, held in inner:
        if isinstance(name, str):
            yield (*path, name), held
            if depth:
                yield from walk_values(held, (*path, name), depth - 1, lists)


def is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_record(value: object) -> bool:
    """Whether it is an instance of a dataclass."""
    return is_dataclass(value) and not isinstance(value, type)


def is_config(value: object) -> bool:
    """Whether it is a Hugging Face config, decided without importing transformers."""
    return is_config_class(type(value))


def is_config_class(kind: type) -> bool:
    return any(base.__name__ in ("PretrainedConfig", "PreTrainedConfig") for base in kind.__mro__)


def _knobs_at(path: Path, value: int | Sequence[int]) -> list[Knob]:
    """The knobs of one parameter that has a role, under the symbols to wish for.

    A list whose elements double is one knob, and each element a part of it; another list is a knob for each element.
    """
    name = str(path[-1])
    role = role_named(name)
    if role in ("", "image"):
        return []
    word, meaning, _ = SYMBOLS[role]
    if isinstance(value, int):
        if value < 1 or (value == 1 and role in ("mlp_dim", "window", "dim_head")):
            return []
        return [Knob(word, value, role, name, ((path, 1),), meaning)]
    if any(one < 1 for one in value):
        return []
    names = [f"{name}[{index}]" for index in range(len(value))]
    symbols = ["p1", "p2"] if role == "patch" and len(value) == 2 else names
    parts = tuple(
        Knob(symbols[at], one, role, names[at], (((*path, at), 1),), f"{meaning}, stage {at + 1}")
        for at, one in enumerate(value)
    )
    factors = [one // value[0] for one in value]
    doubles = all(one == value[0] * many and many.bit_count() == 1 for one, many in zip(value, factors, strict=True))
    if doubles:
        paths = tuple(((*path, index), factor) for index, factor in enumerate(factors))
        kept = parts if len(parts) > 1 and role not in ("channels", "classes") else ()
        return [Knob(word, value[0], role, name + "[0]" * (len(value) > 1), paths, meaning, kept)]
    return [] if role in ("channels", "classes") else list(parts)


def leaf_knob(leaf: Leaf, taken: Collection[str]) -> Knob | None:
    """The knob that a leaf makes; None where its name cannot be a symbol."""
    inside = "." in leaf.name  # of a record in a list
    symbol = re.sub(r"\W+", "_", leaf.name) if inside else leaf.name
    if not re.fullmatch(r"[A-Za-z_]\w*(\[\d+\])?", symbol) or not is_integer(leaf.value):
        return None
    knob = Knob(symbol, int(leaf.value), "other", leaf.name, ((leaf.path, 1),), leaf.name.replace("_", " "))
    return replace(knob, symbol=_free_symbol(knob, taken))


def _free_symbol(knob: Knob, taken: Collection[str]) -> str:
    """The symbol of a knob, else its own name, else either with its container before it or a number behind it."""
    *containers, name = [part for part in knob.places[0][0] if isinstance(part, str)]
    wish = knob.symbol
    if wish in taken and "[" not in wish and wish not in ("p1", "p2"):
        prefix = re.sub(r"_?(config|cfg)$", "", containers[-1]) if containers else ""
        wish = name if name not in taken else f"{prefix}_{wish}" if prefix else wish
    symbol, count = wish, 2
    while symbol in taken:
        symbol, count = f"{wish}_{count}", count + 1
    return symbol


def image_places(arguments: Mapping[str, Any]) -> tuple[tuple[Path, Any], ...]:
    """(path, value) of every parameter that holds the image size, in the form it has: 224, (224, 224), a mapping."""
    held = walk_values(arguments)
    return tuple((path, value) for path, value in held if path[-1] in ROLES["image"] and "text" not in str(path))


def depth_of(arguments: Mapping[str, Any]) -> int | None:
    """The first of the three sides of a volume, where the image size has so many."""
    sides = (value for _, value in image_places(arguments) if isinstance(value, (tuple, list)) and len(value) == 3)
    return next((value[0] for value in sides if is_integer(value[0])), None)


def integer_of(arguments: Mapping[str, Any], role: str) -> int | None:
    """The first whole number among the arguments that has the role."""
    found = (value for path, value in walk_values(arguments) if path[-1] in ROLES[role] and is_integer(value))
    return next(found, None)


def image_changes(places: Sequence[tuple[Path, Any]], height: int, width: int, depth: int | None = None) -> Changes:
    """The image size in the form of each place; two numbers in place of one where the image is not square.

    A size of three sides gets the `depth`, where there is one.
    """
    changes: Changes = {}
    for path, value in places:
        if isinstance(value, Mapping):
            changes[path] = {**value, "height": height, "width": width}
        elif isinstance(value, (tuple, list)) and len(value) >= 2:
            rest = value[:-2] if depth is None or len(value) != 3 else (depth,)
            changes[path] = type(value)((*rest, height, width))
        elif isinstance(value, (tuple, list)):
            changes[path] = type(value)((height,))
        elif path[-1] == "image_height":
            changes[path] = height
        elif path[-1] == "image_width":
            changes[path] = width
        elif value is not None:
            changes[path] = height if height == width else (height, width)
    return changes


def change_values(value: Any, changes: Mapping[Path, Any]) -> Any:
    """A copy of nested arguments with other values at some paths; the rest is shared."""
    if () in changes:
        return changes[()]
    below: dict[str | int, dict[Path, Any]] = {}
    for path, new in changes.items():
        below.setdefault(path[0], {})[path[1:]] = new
    if not below:
        return value
    if isinstance(value, Mapping):
        return {**value, **{name: change_values(value.get(str(name)), inner) for name, inner in below.items()}}
    if isinstance(value, (tuple, list)):
        items = [change_values(item, below[place]) if place in below else item for place, item in enumerate(value)]
        return type(value)(items)
    changed = {str(name): change_values(getattr(value, str(name), None), inner) for name, inner in below.items()}
    if _is_record(value) and not is_config(value):
        return replace(value, **changed)
    made = copy.deepcopy(value)
    for name, new in changed.items():
        setattr(made, name, new)
    return made
