"""Compares a checkpoint's tensors with a model's: equal, of another shape, on one side only. No torch.

By role where both are Vision Transformers in known layouts, so that another library's names do not hide that the shapes
agree; by name, with or without a prefix, otherwise.
"""

from collections import Counter
from collections.abc import Mapping
from math import prod

from msgspec import Struct
from msgspec.structs import replace

from vit_trace.weights.data import Entry
from vit_trace.weights.layouts import AXES, part_of
from vit_trace.weights.mapping import Part
from vit_trace.weights.naming import Named, Piece, recognised

Shape = tuple[int, ...]


class Item(Struct, frozen=True):
    """A difference: `have` is the checkpoint's shape, `want` the model's, None where it has none."""

    ours: str
    theirs: str
    have: Shape | None
    want: Shape | None
    role: str = ""

    @property
    def name(self) -> str:
        return self.theirs or self.ours

    @property
    def axes(self) -> tuple[str, ...]:
        """What the differing axes are."""
        names = AXES.get(part_of(self.role), ())
        if self.have is None or self.want is None or len(self.have) != len(self.want) or len(names) != len(self.have):
            return ()
        pairs = zip(names, self.have, self.want, strict=True)
        return tuple(name for name, have, want in pairs if have != want)


class Comparison(Struct, frozen=True):
    """`strip` is the prefix of the checkpoint's names, `add` that of the model's; `total` counts the model's.

    `left` and `right` are all names of both without prefix, where the comparison is by name. `sources` says which
    parts of the checkpoint make which tensor of the model, in whatever shape.
    """

    items: tuple[Item, ...]
    total: int
    strip: str = ""
    add: str = ""
    ours: Named | None = None
    theirs: Named | None = None
    renamed: tuple[tuple[str, tuple[str, ...]], ...] = ()
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()
    sources: Mapping[str, tuple[Part, ...]] = {}

    @property
    def common(self) -> int:
        """Tensors of the model that the checkpoint has, in whatever shape."""
        return self.total - len({item.theirs for item in self.items if item.have is None})


def compared(ours: Mapping[str, Entry], theirs: Mapping[str, Entry]) -> Comparison:
    """The checkpoint `ours` beside the model `theirs`."""
    direct = _by_name(ours, theirs)
    if not direct.items:
        return direct
    one, two = recognised(ours), recognised(theirs)
    if one is not None and two is not None and one.plain == two.plain:
        return _by_role(one, two, ours, theirs)
    return _prefixed(ours, theirs, direct)


def _by_name(ours: Mapping[str, Entry], theirs: Mapping[str, Entry], strip: str = "", add: str = "") -> Comparison:
    """Names as they are, without the prefix `strip` of the checkpoint's and `add` of the model's."""
    left = {name.removeprefix(strip): name for name in ours}
    right = {name.removeprefix(add): name for name in theirs}
    return replace(_by_key(left, right, ours, theirs), strip=strip, add=add)


def _key(name: str, prefix: str, outer: str | None) -> str:
    """A name within the backbone; behind a mark where it stands beside it, on both sides."""
    if name.startswith(prefix) or outer is None:
        return name.removeprefix(prefix)
    return f"^{name.removeprefix(outer)}"


def _by_key(
    left: Mapping[str, str], right: Mapping[str, str], ours: Mapping[str, Entry], theirs: Mapping[str, Entry]
) -> Comparison:
    """Tensors of the same key; `left` and `right` give the names."""
    items, sources = [], {}
    for key in dict.fromkeys((*right, *left)):
        have = ours[left[key]].shape if key in left else None
        want = theirs[right[key]].shape if key in right else None
        if have is not None and want is not None:
            sources[right[key]] = (Part(left[key]),)
        if have != want:
            items.append(Item(left.get(key, ""), right.get(key, ""), have, want))
    return Comparison(tuple(items), len(theirs), left=tuple(left), right=tuple(right), sources=sources)


def _prefixed(ours: Mapping[str, Entry], theirs: Mapping[str, Entry], direct: Comparison) -> Comparison:
    """The comparison under the prefix that brings most names together."""
    best, common = ("", ""), max(sum(name in theirs for name in ours), min(len(ours), len(theirs)) // 2)
    for strip, add in _likely_prefixes(ours, theirs):
        names = {one.removeprefix(add) for one in theirs}
        shared = sum(name.removeprefix(strip) in names for name in ours)
        if shared > common:
            best, common = (strip, add), shared
    return _by_name(ours, theirs, *best) if any(best) else direct


def _likely_prefixes(ours: Mapping[str, Entry], theirs: Mapping[str, Entry]) -> list[tuple[str, str]]:
    """Prefixes of one side that leave names of the other side, the likeliest three."""
    found: Counter[tuple[str, str]] = Counter()
    for place, (names, others) in enumerate(((ours, theirs), (theirs, ours))):
        for name in names:
            parts = name.split(".")
            for count in range(1, min(len(parts), 5)):
                if parts[count - 1].isdigit():  # a layer of something is not a whole model under a prefix
                    break
                if ".".join(parts[count:]) in others:
                    prefix = ".".join(parts[:count]) + "."
                    found[("", prefix) if place else (prefix, "")] += 1
    return [pair for pair, _ in found.most_common(3)]


def _by_role(one: Named, two: Named, ours: Mapping[str, Entry], theirs: Mapping[str, Entry]) -> Comparison:
    """Tensors by role, whatever their names; what has no role by its name within the backbone."""
    left, right = _in_one_form(one.pieces, two.pieces)
    same = one.layout == two.layout
    items = []
    for role in dict.fromkeys((*right, *left)):
        have, want = left.get(role), right.get(role)
        if _has_no_effect(role, left, right):
            continue
        if have is None or want is None or have.shape != want.shape:
            one_name, other_name = (piece.name if piece else "" for piece in (have, want))
            one_shape, other_shape = (piece.shape if piece else None for piece in (have, want))
            items.append(Item(one_name, other_name, one_shape, other_shape, role))
        elif same and not have.fused and not want.fused and ours[have.name].shape != theirs[want.name].shape:
            items.append(Item(have.name, want.name, ours[have.name].shape, theirs[want.name].shape))
    strip, add = one.prefix, two.prefix
    if strip.endswith(add) or add.endswith(strip):  # both end in vit.: module. is left of module.vit., nothing of vit.
        common = min(strip, add, key=len)
        strip, add = strip.removesuffix(common), add.removesuffix(common)
    rest = _by_key(
        {_key(name, one.prefix, strip if two.prefix else None): name for name in one.rest},
        {_key(name, two.prefix, add if one.prefix else None): name for name in two.rest},
        ours,
        theirs,
    )
    return Comparison(
        (*items, *rest.items),
        len(theirs),
        strip,
        add,
        one,
        two,
        tuple(_renamings(left, right)),
        left=tuple(name.removeprefix(strip) for name in ours),
        right=tuple(name.removeprefix(add) for name in theirs),
        sources={**rest.sources, **_sources(left, right)},
    )


def _has_no_effect(role: str, left: Mapping[str, Piece], right: Mapping[str, Piece]) -> bool:
    """A bias of the keys on one side: softmax takes away what it adds, so zeros stand for none, and none for it."""
    return role.endswith(".k.bias") and all(
        f"{role.removesuffix('k.bias')}{part}.bias" in side for part in "qv" for side in (left, right)
    )


def _in_one_form(left: Mapping[str, Piece], right: Mapping[str, Piece]) -> tuple[dict[str, Piece], dict[str, Piece]]:
    """The pieces of both where they are kept differently: flattened patches, one table of positions for all layers."""
    if "flat.weight" in right and "patch.weight" in left:
        left = _flattened_patches(left)
    elif "flat.weight" in left and (weight := right.get("patch.weight")) is not None and len(weight.shape) == 4:
        dim, channels, *sides = weight.shape
        piece = left["flat.weight"]
        if piece.shape == (dim, channels * prod(sides)):  # rows, columns, channels -> channels, rows, columns
            found = {role.replace("flat.bias", "patch.bias"): one for role, one in left.items()}
            found["patch.weight"] = Piece(piece.name, weight.shape, view=(dim, *sides, channels), permute=(0, 3, 1, 2))
            left = {role: one for role, one in found.items() if role != "flat.weight"}
        else:
            right = _flattened_patches(right)
    if (shared := left.get("shared_relative")) is not None and "shared_relative" not in right:
        tables = (role for role in right if part_of(role) == "relative" and role not in left)
        left = {role: one for role, one in left.items() if role != "shared_relative"}
        left |= dict.fromkeys(tables, shared)
    return dict(left), dict(right)


def _flattened_patches(pieces: Mapping[str, Piece]) -> dict[str, Piece]:
    """The pieces with the first convolution as a linear layer on flattened patches: rows, columns, channels."""
    found = {"flat.bias" if role == "patch.bias" else role: piece for role, piece in pieces.items()}
    if weight := found.pop("patch.weight", None):
        order = weight.permute or tuple(range(len(weight.shape)))
        permute = (order[0], *order[2:], order[1])
        found["flat.weight"] = Piece(weight.name, (weight.shape[0], prod(weight.shape[1:])), permute=permute)
    return found


def _sources(left: Mapping[str, Piece], right: Mapping[str, Piece]) -> dict[str, tuple[Part, ...]]:
    """The parts of the checkpoint that make each tensor of the model, where all of them are there."""
    wanted: dict[str, list[str]] = {}
    for role, piece in right.items():
        wanted.setdefault(piece.name, []).append(role)
    found = {}
    for name, roles in wanted.items():
        parts = [_part(role, left, right) for role in roles]
        whole = [part for part in parts if part is not None]
        if len(whole) == len(parts):
            found[name] = _joined(whole)
    return found


def _part(role: str, left: Mapping[str, Piece], right: Mapping[str, Piece]) -> Part | None:
    if (piece := left.get(role)) is not None:
        return Part(piece.name, piece.view, piece.rows, piece.permute)
    return Part("", rows=(0, right[role].shape[0])) if _has_no_effect(role, left, right) else None


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """The parts; one whole tensor where they are its thirds, in order."""
    rows = [part.rows for part in parts]
    if len({part.name for part in parts}) == 1 and len(parts) == 3 and all(rows):
        first, second, third = (one or (0, 0) for one in rows)
        if first[0] == 0 and first[1] == second[0] and second[1] == third[0]:
            return (Part(parts[0].name),)
    return tuple(parts)


def _renamings(left: Mapping[str, Piece], right: Mapping[str, Piece]) -> list[tuple[str, tuple[str, ...]]]:
    """(name in the checkpoint, names in the model) of the same roles, where they are not the same."""
    found: dict[str, dict[str, None]] = {}
    for role, piece in left.items():
        if role in right:
            found.setdefault(piece.name, {})[right[role].name] = None
    return [(name, tuple(names)) for name, names in found.items() if [*names] != [name]]
