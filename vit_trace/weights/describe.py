"""Describes the model that tensors belong to: library, patch, width, depth, heads where shapes tell. No torch."""

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

from msgspec import Struct

from vit_trace.base.numbers import divisors
from vit_trace.base.roles import ROLES
from vit_trace.weights.data import Checkpoint
from vit_trace.weights.layouts import AXES, block_of, part_of
from vit_trace.weights.naming import Named, modules_of, own_part, recognised

Sides = tuple[int, int]

FEATURES = {
    *("ls1", "q_norm", "k_norm", "pre_norm", "fc_norm", "norm", "mask", "q.bias", "v.bias", "k.bias", "patch.bias"),
    *(
        "relative",
        "shared_relative",
        "rel_h",
        "gate",
        "mlp_norm",
        "attn_norm",
        "proj",
        "pooler",
        "head_norm",
        "head.bias",
    ),
}
"""Parts of tensors that one ViT has and another does not."""

CHANNELS = (3, 1, 4)
"""Channels of images, the usual first."""


class Description(Struct, frozen=True):
    """A plain Vision Transformer by its sizes; None where its tensors do not tell.

    `positions` are rows of the position embedding, `extra` those of them that are not patches; `projected` is whether
    attention ends in a projection. `features` are parts that not every ViT has, `others` tensors of unknown parts.
    `how` says for some fields where they come from, or why they are not known; `assumed` names fields that are likely,
    not certain.
    """

    library: str
    layout: str
    prefix: str
    depth: int
    dim: int
    inner: int
    mlp_dim: int | None = None
    gated: bool = False
    channels: int | None = None
    patch: Sides | None = None
    positions: int | None = None
    extra: int = 0
    grid: Sides | None = None
    image: Sides | None = None
    cls: bool = False
    dist: bool = False
    registers: int = 0
    detection: int = 0
    classes: int | None = None
    heads: int | None = None
    fused: bool = False
    projected: bool = True
    features: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    how: dict[str, str] = {}
    assumed: tuple[str, ...] = ()


def description_of(checkpoint: Checkpoint) -> Description | None:
    """The model in a checkpoint; None where it is not a plain Vision Transformer in a known layout."""
    named = recognised(checkpoint.entries)
    return None if named is None or not named.plain else description(named, checkpoint.config or {})


def description(named: Named, config: Mapping[str, Any] | None = None) -> Description:
    """The sizes of a recognised model; `config` is what a config beside it says."""
    return _Describer(named, config or {}).description()


class _Describer:
    """Reads sizes off the tensors of one model; `how` and `assumed` as in a Description."""

    def __init__(self, named: Named, config: Mapping[str, Any]) -> None:
        self.named, self.config = named, config
        self.sizes = _sizes_of(named)
        self.parts = {part_of(role) for role in named.pieces}
        self.how: dict[str, str] = {}
        self.assumed: tuple[str, ...] = ()

    def description(self) -> Description:
        sizes, parts = self.sizes, self.parts
        channels, patch = self.patches()
        extra, grid = self.grid(patch)
        image = self.image(grid, patch)
        narrow = self.size("fc2.weight", 1)
        if "classes" not in sizes:
            self.how["classes"] = "it has no classification head"
        return Description(
            library=self.named.layout.words,
            layout=self.named.layout.name,
            prefix=self.named.prefix,
            depth=1 + max(block for role in self.named.pieces if (block := block_of(role)) is not None),
            dim=sizes["dim"],
            inner=sizes["inner"],
            mlp_dim=narrow,
            gated=narrow is not None and (sizes.get("mlp_dim") == 2 * narrow or "gate.weight" in parts),
            channels=channels,
            patch=patch,
            positions=sizes.get("positions"),
            extra=extra,
            grid=grid,
            image=image,
            cls="cls" in parts,
            dist="dist" in parts,
            registers=sizes.get("registers", 0),
            detection=sizes.get("detection", 0),
            classes=sizes.get("classes"),
            heads=self.heads(),
            fused=self.named.fused,
            projected="out.weight" in parts,
            features=tuple(sorted(FEATURES & {part.removesuffix(".weight") for part in parts})),
            others=self.others(),
            how=self.how,
            assumed=self.assumed,
        )

    def others(self) -> tuple[str, ...]:
        """Names of tensors in the network's own modules that no size here accounts for."""
        used = modules_of(piece.name for piece in self.named.pieces.values())
        inside = [name for name in self.named.rest if name.startswith(self.named.prefix)]
        return tuple(name for name in inside if re.search(r"(^|\.)\d+\.|[^.]$", own_part(name, used)))

    def size(self, part: str, axis: int) -> int | None:
        """The size of an axis of the first tensor of that part."""
        shapes = (piece.shape for role, piece in self.named.pieces.items() if part_of(role) == part)
        return next((shape[axis] for shape in shapes if len(shape) > axis), None)

    def patches(self) -> tuple[int | None, Sides | None]:
        """Channels and patch size, from the convolution or from the width of a flattened patch."""
        weight = self.named.pieces.get("patch.weight")
        if weight is not None and len(weight.shape) == 4:
            return weight.shape[1], (weight.shape[2], weight.shape[3])
        flat = self.sizes.get("patch_dim", 0)
        for channels in CHANNELS:
            side = isqrt(flat // channels)
            if side and channels * side * side == flat:
                product = f"{channels}·{side}·{side}"
                self.how["patch"] = f"a patch has {flat} numbers = {product}, if it has {channels} channels"
                self.assumed = ("channels", "patch")
                return channels, (side, side)
        self.how["patch"] = f"a flattened patch has {flat} numbers, which is not a square of {CHANNELS[0]} channels"
        return None, None

    def grid(self, patch: Sides | None) -> tuple[int, Sides | None]:
        """Positions besides the patches, and the grid of patches: as the config says, else a square."""
        positions = self.sizes.get("positions")
        if positions is None:
            self.how["image"] = "it has no learned position embedding, so it takes any image size"
            return 0, None
        positions -= self.sizes.get("detection", 0)  # they come after the patches
        own = ("cls" in self.parts) + ("dist" in self.parts)
        most = own + self.sizes.get("registers", 0)
        side = self.config.get("image_size")
        if isinstance(side, (list, tuple)) and len(side) == 2 and patch and all(isinstance(one, int) for one in side):
            sides = side[0] // patch[0], side[1] // patch[1]
            if 0 <= positions - sides[0] * sides[1] <= most:
                return positions - sides[0] * sides[1], sides
        for extra in dict.fromkeys((own, 0, most, 1, 2)):
            root = isqrt(max(positions - extra, 0))
            if root and root * root == positions - extra and extra <= most:
                return extra, (root, root)
        self.how["image"] = f"{positions} positions are not a square grid, with or without class token"
        return own, None

    def image(self, grid: Sides | None, patch: Sides | None) -> Sides | None:
        if grid and patch:
            return grid[0] * patch[0], grid[1] * patch[1]
        if grid is None and isinstance(side := self.config.get("image_size"), int):
            self.how["image"] = "from the config.json beside it"
            return side, side
        return None

    def heads(self) -> int | None:
        """Attention heads, where anything tells them; `how` says what, or why not."""
        inner, normed = self.sizes["inner"], self.sizes.get("dim_head")
        found = [key for key in ROLES["heads"] if isinstance(self.config.get(key), int) and self.config[key] > 0]
        if self.named.heads is not None:
            heads, how = self.named.heads, "kernels are kept as width × heads × width of a head"
        elif "heads" in self.sizes:
            heads, how = self.sizes["heads"], "from the relative position table"
        elif {"q_norm", "rel_h"} & self.parts and normed and normed != inner and inner % normed == 0:
            what = "queries are normalised" if "q_norm" in self.parts else "tables of relative positions are"
            heads, how = inner // normed, f"{what} {normed} wide: {inner} / {normed}"
        elif found:
            heads, how = int(self.config[found[0]]), f"from {found[0]} of the config.json beside it"
        else:
            self.how["heads"] = f"no tensor's shape depends on how {inner} is split into heads"
            return None
        self.how["heads"] = how
        return heads


def _sizes_of(named: Named) -> dict[str, int]:
    """The quantities that the axes of the tensors are; the linear weights count before all others."""
    sizes: dict[str, int] = {}
    order = sorted(named.pieces, key=lambda role: not part_of(role).endswith(("q.weight", "fc1.weight")))
    for role in order:
        piece, axes = named.pieces[role], AXES.get(part_of(role), ())
        if len(axes) == len(piece.shape):
            for axis, found in zip(axes, piece.shape, strict=True):
                sizes.setdefault(axis, found)
    return sizes


def likely_heads(dim: int, inner: int) -> int:
    """Heads of the published models of that width, else heads of width 64, else the largest that divides below."""
    published = {1152: 16, 1280: 16, 1408: 16, 1536: 24, 1664: 16, 1792: 16, 6144: 48}
    if inner == dim and dim in published:
        return published[dim]
    if inner % 64 == 0:
        return inner // 64
    return max(one for one in divisors(inner) if one <= max(1, inner // 16))
