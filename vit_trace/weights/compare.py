"""Compares a checkpoint's tensors with a model's: equal, of another shape, on one side only. No torch.

By role where both are Vision Transformers in known layouts, so that another library's names do not hide that the shapes
agree; by name, with or without a prefix, otherwise.
"""

from collections import Counter
from collections.abc import Mapping
from math import prod

from msgspec import Struct

from vit_trace.weights.data import Entry
from vit_trace.weights.layouts import AXES, part_of
from vit_trace.weights.naming import Named, Piece, recognised

Shape = tuple[int, ...]

IGNORED = ("position_ids", "relative_position_index", "num_batches_tracked", "attn_mask", "relative_coords_table")
"""Buffers that follow from the config: a checkpoint need not have them."""


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

    `left` and `right` are all names of both without prefix, where the comparison is by name.
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
    if one is not None and two is not None:
        return _by_role(one, two, ours, theirs)
    return _prefixed(ours, theirs, direct)


def _by_name(ours: Mapping[str, Entry], theirs: Mapping[str, Entry], strip: str = "", add: str = "") -> Comparison:
    """Names as they are, without the prefix `strip` of the checkpoint's and `add` of the model's."""
    left = {name.removeprefix(strip): name for name in ours}
    right = {name.removeprefix(add): name for name in theirs}
    items = []
    for key in dict.fromkeys((*right, *left)):
        have = ours[left[key]].shape if key in left else None
        want = theirs[right[key]].shape if key in right else None
        if have != want and not (key.endswith(IGNORED) and (have is None or want is None)):
            items.append(Item(left.get(key, ""), right.get(key, ""), have, want))
    return Comparison(tuple(items), len(theirs), strip, add, left=tuple(left), right=tuple(right))


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
    left, right = one.pieces, two.pieces
    if ("flat.weight" in left) != ("flat.weight" in right):
        left, right = _flattened_patches(left), _flattened_patches(right)
    same = one.layout == two.layout
    items = []
    for role in dict.fromkeys((*right, *left)):
        have, want = left.get(role), right.get(role)
        if part_of(role) == "index" or (part_of(role) == "mask" and want is None):
            continue
        if have is None or want is None or have.shape != want.shape:
            one_name, other_name = (piece.name if piece else "" for piece in (have, want))
            one_shape, other_shape = (piece.shape if piece else None for piece in (have, want))
            items.append(Item(one_name, other_name, one_shape, other_shape, role))
        elif same and not have.fused and not want.fused and ours[have.name].shape != theirs[want.name].shape:
            items.append(Item(have.name, want.name, ours[have.name].shape, theirs[want.name].shape))
    rest = _by_name(
        {name: ours[name] for name in one.rest}, {name: theirs[name] for name in two.rest}, one.prefix, two.prefix
    )
    strip, add = one.prefix, two.prefix
    if strip.endswith(add) or add.endswith(strip):  # both end in vit.: module. is left of module.vit., nothing of vit.
        common = min(strip, add, key=len)
        strip, add = strip.removesuffix(common), add.removesuffix(common)
    return Comparison((*items, *rest.items), len(theirs), strip, add, one, two, tuple(_renamings(left, right)))


def _flattened_patches(pieces: Mapping[str, Piece]) -> dict[str, Piece]:
    """The pieces with the first convolution as a linear layer on flattened patches."""
    found = {"flat.bias" if role == "patch.bias" else role: piece for role, piece in pieces.items()}
    if weight := found.pop("patch.weight", None):
        found["flat.weight"] = Piece(weight.name, (weight.shape[0], prod(weight.shape[1:])))
    return found


def _renamings(left: Mapping[str, Piece], right: Mapping[str, Piece]) -> list[tuple[str, tuple[str, ...]]]:
    """(name in the checkpoint, names in the model) of the same roles, where they are not the same."""
    found: dict[str, dict[str, None]] = {}
    for role, piece in left.items():
        if role in right:
            found.setdefault(piece.name, {})[right[role].name] = None
    return [(name, tuple(names)) for name, names in found.items() if [*names] != [name]]
