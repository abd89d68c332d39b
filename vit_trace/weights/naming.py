"""Recognises the layout of tensors by their names: its prefix, and the role of each tensor. No torch.

A role's shape has one normal form, whatever the library keeps: q, k and v apart, linear weights as (out, in), tokens
and positions without leading axes of 1. So the same model has the same roles and shapes in every library.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from math import prod

from msgspec import Struct

from vit_trace.weights.data import Entry
from vit_trace.weights.layouts import HEAD_ROLES, LibraryLayout, known_layouts

NUMBER = re.compile(r"(?<=[._/])\d+(?=[./]|$)")
TOKENS = ("cls", "dist", "mask")


class Piece(Struct, frozen=True):
    """A tensor in its role, or the part of a fused one: its name, and its shape in normal form."""

    name: str
    shape: tuple[int, ...]
    fused: bool = False


class Named(Struct, frozen=True):
    """The tensors of a Vision Transformer by role; `heads` where shapes tell, `rest` what has no known role."""

    layout: LibraryLayout
    prefix: str
    pieces: dict[str, Piece]
    rest: tuple[str, ...]
    heads: int | None = None

    @property
    def fused(self) -> bool:
        return any(piece.fused for piece in self.pieces.values())


@cache
def _templates() -> dict[str, list[tuple[str, str]]]:
    """(layout, role) by name, of all layouts."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for layout in known_layouts().values():
        for name, role in layout.roles.items():
            found[name].append((layout.name, role))
    return found


def _numberings(name: str) -> Iterator[tuple[str, int | None]]:
    """The name as it is, and with each of its numbers as the layer's: blocks.3.norm1 as blocks.#.norm1, 3."""
    yield name, None
    numbers = list(NUMBER.finditer(name))
    for place, found in enumerate(numbers):
        layer, rest = int(found[0][:9]), f"#{name[found.end() :]}"
        yield name[: found.start()] + rest, layer
        before = numbers[place - 1] if place else None
        if before is not None and before.end() + 1 == found.start():  # blocks of several blocks, as DINOv2 saves
            yield f"{name[: before.start()]}@{name[before.end() : found.start()]}{rest}", layer


def _readings(name: str) -> Iterator[tuple[str, str, str]]:
    """(prefix, layout, role) of everything that a name can be."""
    starts = [0, *(match.end() for match in re.finditer(r"[./]", name))]
    for start in starts[:12]:
        for template, layer in _numberings(name[start:]):
            for layout, role in _templates().get(template, ()):
                yield name[:start], layout, role if layer is None else role.replace("#", str(layer))


def recognised(entries: Mapping[str, Entry]) -> Named | None:
    """The tensors in the layout that knows most of them; None where they are not a plain Vision Transformer."""
    roles: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for name in entries:
        for prefix, layout, role in _readings(name):
            roles[layout, prefix].setdefault(role, name)
    plausible = {
        place: found
        for place, found in roles.items()
        if any(role.startswith(("patch.", "flat.")) for role in found)
        and any(re.match(r"block\.\d+\.(q|qkv)\.(weight|kernel)$", role) for role in found)
    }
    if not plausible:
        return None
    ranks = {layout.name: layout.rank for layout in known_layouts().values()}
    layout, prefix = max(plausible, key=lambda place: (len(plausible[place]), -ranks[place[0]], -len(place[1])))
    chosen = plausible[layout, prefix]
    for (other, outer), found in roles.items():
        if other == layout and outer != prefix and prefix.startswith(outer):
            heads = {role: name for role, name in found.items() if role.split(".")[0] in HEAD_ROLES}
            chosen = chosen | {role: name for role, name in heads.items() if role not in chosen}
    return _normal(known_layouts()[layout], prefix, chosen, entries)


def _normal(layout: LibraryLayout, prefix: str, roles: Mapping[str, str], entries: Mapping[str, Entry]) -> Named | None:
    """All pieces in normal form; None where the layers have different widths, as in a hierarchical model."""
    pieces: dict[str, Piece] = {}
    heads = None
    for role, name in roles.items():
        shape = entries[name].shape
        if role.endswith(".q.kernel") and len(shape) == 3:
            heads = shape[1]
        for one, piece in _normal_pieces(role, name, shape):
            pieces.setdefault(one, piece)
    widths = {piece.shape[-1] for role, piece in pieces.items() if role.endswith(".q.weight") and len(piece.shape) == 2}
    if len(widths) != 1:
        return None
    rest = tuple(name for name in entries if name not in set(roles.values()))
    return Named(layout, prefix, pieces, rest, heads)


def _normal_pieces(role: str, name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, Piece]]:
    """The roles of one tensor, each with its normal shape."""
    base, _, leaf = role.rpartition(".")
    if base.endswith("qkv") and leaf in ("weight", "bias") and shape and shape[0] % 3 == 0:
        third = (shape[0] // 3, *shape[1:])
        for part in "qkv":
            yield f"{base.removesuffix('qkv')}{part}.{leaf}", Piece(name, third, True)
    elif leaf == "kernel":
        yield f"{base}.weight", Piece(name, _transposed(base, shape))
    elif (leaf == "bias" and re.search(r"\.[qkv]$", base)) or role in TOKENS:
        yield role, Piece(name, (prod(shape),))
    elif role in ("pos", "registers") and len(shape) >= 2:
        yield role, Piece(name, (prod(shape[:-1]), shape[-1]))
    else:
        yield role, Piece(name, shape)


def _transposed(base: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A flax kernel as torch keeps it: (out, in), heads flattened, convolutions as (out, in, height, width)."""
    if len(shape) == 4:
        return shape[3], shape[2], shape[0], shape[1]
    if len(shape) == 3:
        out = base.endswith("out")
        return (shape[2], shape[0] * shape[1]) if out else (shape[1] * shape[2], shape[0])
    return shape[::-1]
