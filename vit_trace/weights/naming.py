"""Recognises the layout of tensors by their names: its prefix, and the role of each tensor. No torch.

A role's shape has one normal form, whatever the library keeps: q, k and v apart, linear weights as (out, in), tokens
and positions without leading axes of 1. So the same model has the same roles and shapes in every library.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from math import prod

from msgspec import Struct
from msgspec.structs import replace

from vit_trace.weights.data import Entry
from vit_trace.weights.layouts import HEAD_ROLES, LibraryLayout, known_layouts

NUMBER = re.compile(r"(?<=[._/])\d+(?=[./]|$)")
PATH = re.compile(r"[./]")
"""What is between modules in a name."""

TOKENS = ("cls", "dist", "mask")
FLAT = re.compile(r"\.(ls1|ls2|grn\.\w+)$")
"""Roles of one number for each feature, whatever axes of 1 are around them."""

MOST_HEADS = 20
"""Matrices that are looked at to find a head under another name, from the end."""

NO_HEAD = re.compile(r"decoder|lm_|proj|pred|embed|token|text|logit|pool|encoder|block|layer|pos")
HEAD_WORD = re.compile(r"head|class|(^|\.)fc")
"""Names of matrices that are no head of classes, and of those that are, even where they are square."""


class Piece(Struct, frozen=True):
    """A tensor in its role, or the part of a fused one: its name, and its shape in normal form.

    The normal form is the tensor reshaped to `view`, of that the `rows`, and its axes in the order `permute`.
    """

    name: str
    shape: tuple[int, ...]
    view: tuple[int, ...] | None = None
    rows: tuple[int, int] | None = None
    permute: tuple[int, ...] | None = None

    @property
    def fused(self) -> bool:
        return self.rows is not None


class Named(Struct, frozen=True):
    """The tensors of a Vision Transformer by role; `heads` where shapes tell, `rest` what has no known role."""

    layout: LibraryLayout
    prefix: str
    pieces: dict[str, Piece]
    rest: tuple[str, ...]
    heads: int | None = None

    @property
    def plain(self) -> bool:
        """Whether all its layers are alike: it has one width, and can be described by a few numbers."""
        return not self.layout.stages

    @property
    def fused(self) -> bool:
        return any(piece.fused for piece in self.pieces.values())


@cache
def _templates() -> dict[str, list[tuple[str, str]]]:
    """(layout, role) by name, of all layouts."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for layout in known_layouts().values():
        for name, roles in layout.roles.items():
            found[name] += ((layout.name, role) for role in roles)
    return found


def _numberings(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The name as it is, and with each of its numbers as the layer's: blocks.3.norm1 as blocks.#.norm1, (3,).

    Also with the number before it as that of a stage, or of blocks of several blocks: layers.@.blocks.#.norm1.
    """
    yield name, ()
    numbers = list(NUMBER.finditer(name))
    for place, found in enumerate(numbers):
        layer, rest = int(found[0][:9]), f"#{name[found.end() :]}"
        yield name[: found.start()] + rest, (layer,)
        if place:
            before = numbers[place - 1]
            stage = int(before[0][:9])
            yield f"{name[: before.start()]}@{name[before.end() : found.start()]}{rest}", (layer, stage)


def _readings(name: str) -> Iterator[tuple[str, str, str]]:
    """(prefix, layout, role) of everything that a name can be."""
    starts = [0, *(match.end() for match in re.finditer(r"[./]", name))]
    for start in starts[:12]:
        for template, numbers in _numberings(name[start:]):
            for layout, role in _templates().get(template, ()):
                if "#-" in role and not numbers[0]:
                    continue
                for mark, number in zip("#@", numbers, strict=False):
                    role = role.replace(f"{mark}-", str(number - 1)).replace(mark, str(number))
                yield name[:start], layout, role


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
        and any(re.match(r"block\.[\d_]+\.(q|qkv|dw)\.(weight|kernel)$", role) for role in found)
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
    named = _normal(known_layouts()[layout], prefix, chosen, entries)
    return None if named is None else _with_head(named, entries)


def _shared(prefix: str, name: str) -> int:
    """Where a name leaves the modules of a prefix: behind teacher. of teacher.fc.weight beside teacher.backbone."""
    ends = (found.end() for found in PATH.finditer(prefix))
    return max((end for end in ends if name.startswith(prefix[:end])), default=0)


def _with_head(named: Named, entries: Mapping[str, Entry]) -> Named:
    """The model with its head, where that has another name: the last matrix that takes tokens in, alone in its module.

    `heads.weight`, `head.1.weight`, `classifier.weight`; an MLP of several matrices is not one head.
    """
    widths = [
        piece.shape[-1] for role, piece in named.pieces.items() if re.fullmatch(r"norm\.weight|fc_norm\.weight", role)
    ]
    if "head.weight" in named.pieces or not widths:
        return named
    matrices = [name for name in named.rest if entries[name].shape[1:] == (widths[-1],) and name.endswith(".weight")]
    for name in reversed(matrices[-MOST_HEADS:]):
        shape, base = entries[name].shape, name.removesuffix("weight")
        own = name[_shared(named.prefix, name) :]
        module = name[: len(name) - len(own)] + re.split(r"[./]", own)[0] + "."
        beside = {one for one in entries if one.startswith(module)} - {name, f"{base}bias"}
        if beside:
            continue
        if NO_HEAD.search(own) or (shape[0] == shape[1] and not HEAD_WORD.search(own)):
            continue
        bias = entries.get(f"{base}bias")
        if bias is not None and bias.shape != shape[:1]:
            continue
        found = {"head.weight": name} | ({"head.bias": f"{base}bias"} if bias is not None else {})
        pieces = named.pieces | {role: Piece(one, entries[one].shape) for role, one in found.items()}
        rest = tuple(one for one in named.rest if one not in found.values())
        return replace(named, pieces=pieces, rest=rest)
    return named


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
    queries = (piece for role, piece in pieces.items() if role.startswith("block.") and role.endswith(".q.weight"))
    widths = {piece.shape[-1] for piece in queries if len(piece.shape) == 2}
    if len(widths) != 1 and not layout.stages:
        return None
    rest = tuple(name for name in entries if name not in set(roles.values()))
    return Named(layout, prefix, pieces, rest, heads)


def _normal_pieces(role: str, name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, Piece]]:
    """The roles of one tensor, each with its normal shape."""
    base, _, leaf = role.rpartition(".")
    fused = re.search(r"(?:^|\.)(qkv|kv)$", base)
    if fused and leaf in ("weight", "bias") and shape and shape[0] % len(fused[1]) == 0:
        each = shape[0] // len(fused[1])
        for place, part in enumerate(fused[1]):
            rows = (place * each, (place + 1) * each)
            yield f"{base.removesuffix(fused[1])}{part}.{leaf}", Piece(name, (each, *shape[1:]), rows=rows)
    elif leaf == "kernel":
        yield f"{base}.weight", _from_kernel(base, name, shape)
    elif (leaf == "bias" and re.search(r"\.[qkv]$", base)) or role in TOKENS or FLAT.search(role):
        yield role, Piece(name, (prod(shape),), view=(prod(shape),))
    elif role in ("pos", "registers", "detection", "decoder.pos") and len(shape) >= 2:
        rows_of = (prod(shape[:-1]), shape[-1])
        yield role, Piece(name, rows_of, view=rows_of)
    else:
        yield role, Piece(name, shape)


def _from_kernel(base: str, name: str, shape: tuple[int, ...]) -> Piece:
    """A flax kernel as torch keeps it: (out, in), heads flattened, convolutions as (out, in, height, width)."""
    if len(shape) == 4:
        return Piece(name, (shape[3], shape[2], shape[0], shape[1]), permute=(3, 2, 0, 1))
    view = None
    if len(shape) == 3:
        view = (shape[0] * shape[1], shape[2]) if base.endswith("out") else (shape[0], shape[1] * shape[2])
    flat = view or shape
    return Piece(name, flat[::-1], view=view, permute=tuple(range(len(flat)))[::-1])


def modules_of(names: Iterable[str]) -> set[str]:
    """Every module that holds one of these tensors, with the dot behind it."""
    return {name[: found.end()] for name in names for found in PATH.finditer(name)}


def own_part(name: str, used: set[str]) -> str:
    """The outermost module of a tensor that is not `used`; its name where the module that holds it is."""
    ends = (found.end() for found in PATH.finditer(name))
    return next((name[:end] for end in ends if name[:end] not in used), name)
