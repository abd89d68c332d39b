"""Which model a set of tensors is: library, patch, width, depth, classes; heads only where shapes tell. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

from msgspec import Struct

from vit_trace.base.roles import ROLES
from vit_trace.weights.data import Checkpoint, Entry
from vit_trace.weights.layouts import AXES, part_of
from vit_trace.weights.naming import Named, recognised

COLOURS = (3, 1, 4)
"""Channels of images, the usual first."""


class Description(Struct, frozen=True):
    """A plain Vision Transformer by its sizes; None where its tensors do not tell.

    `positions` are rows of the position embedding, `extra` those of them that are no patches; `how` says for some of
    the fields where they are from, or why they are not known. `assumed` names fields that are likely, not certain;
    `projected` is whether attention ends in a projection.
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
    patch: tuple[int, int] | None = None
    positions: int | None = None
    extra: int = 0
    grid: tuple[int, int] | None = None
    image: tuple[int, int] | None = None
    cls: bool = False
    dist: bool = False
    registers: int = 0
    classes: int | None = None
    heads: int | None = None
    fused: bool = False
    projected: bool = True
    how: dict[str, str] = {}
    assumed: tuple[str, ...] = ()


def described(checkpoint: Checkpoint) -> Description | None:
    """The model in a checkpoint; None where it is no plain Vision Transformer in a layout that is known."""
    named = recognised(checkpoint.entries)
    return None if named is None else description(named, checkpoint.config or {})


def description(named: Named, config: Mapping[str, Any] | None = None) -> Description:
    """The sizes of a recognised model; `config` is what a config beside it says."""
    sizes = sizes_of(named)
    config = config or {}
    how: dict[str, str] = {}
    assumed: list[str] = []
    cls, dist = "cls" in named.pieces, "dist" in named.pieces
    registers = sizes.get("registers", 0)
    channels, patch = patches(named, sizes, how, assumed)
    extra, grid = grid_of(sizes.get("positions"), cls, dist, registers, config, patch, how)
    image = (grid[0] * patch[0], grid[1] * patch[1]) if grid and patch else None
    if grid is None and isinstance(config.get("image_size"), int):
        image = config["image_size"], config["image_size"]
        how["image"] = "from the config.json beside it"
    narrow = size(named, "fc2.weight", 1)
    classes = sizes.get("classes")
    if classes is None:
        how["classes"] = "it has no classification head"
    return Description(
        library=named.layout.words,
        layout=named.layout.name,
        prefix=named.prefix,
        depth=1 + max(block for role in named.pieces if (block := number(role)) is not None),
        dim=sizes["dim"],
        inner=sizes["inner"],
        mlp_dim=narrow,
        gated=narrow is not None and (sizes.get("mlp_dim") == 2 * narrow or has(named, "gate.weight")),
        channels=channels,
        patch=patch,
        positions=sizes.get("positions"),
        extra=extra,
        grid=grid,
        image=image,
        cls=cls,
        dist=dist,
        registers=registers,
        classes=classes,
        heads=heads_of(named, sizes, config, how),
        fused=named.fused,
        projected=has(named, "out.weight"),
        how=how,
        assumed=tuple(assumed),
    )


def number(role: str) -> int | None:
    return int(role.split(".")[1]) if role.startswith("block.") else None


def has(named: Named, part: str) -> bool:
    return any(part_of(role) == part for role in named.pieces)


def size(named: Named, part: str, axis: int) -> int | None:
    """The size of an axis of the first tensor of that part."""
    shapes = (piece.shape for role, piece in named.pieces.items() if part_of(role) == part)
    return next((shape[axis] for shape in shapes if len(shape) > axis), None)


def sizes_of(named: Named) -> dict[str, int]:
    """The quantities that the axes of the tensors are; the linear weights count before all else."""
    sizes: dict[str, int] = {}
    order = sorted(named.pieces, key=lambda role: not part_of(role).endswith(("q.weight", "fc1.weight")))
    for role in order:
        piece, axes = named.pieces[role], AXES.get(part_of(role), ())
        if len(axes) == len(piece.shape):
            for axis, found in zip(axes, piece.shape, strict=True):
                sizes.setdefault(axis, found)
    return sizes


def patches(
    named: Named, sizes: Mapping[str, int], how: dict[str, str], assumed: list[str]
) -> tuple[int | None, tuple[int, int] | None]:
    """(channels, patch height and width), from the convolution or from the width of a flattened patch."""
    weight = named.pieces.get("patch.weight")
    if weight is not None and len(weight.shape) == 4:
        return weight.shape[1], (weight.shape[2], weight.shape[3])
    flat = sizes.get("patch_dim")
    for channels in COLOURS if flat else ():
        side = isqrt(flat // channels) if flat else 0
        if side and channels * side * side == flat:
            how["patch"] = f"{flat} numbers a patch = {channels}·{side}·{side}, taken for {channels} channels"
            assumed.extend(("channels", "patch"))
            return channels, (side, side)
    how["patch"] = f"a flattened patch has {flat} numbers, which is no square patch of {COLOURS[0]} channels"
    return None, None


def grid_of(
    positions: int | None,
    cls: bool,
    dist: bool,
    registers: int,
    config: Mapping[str, Any],
    patch: tuple[int, int] | None,
    how: dict[str, str],
) -> tuple[int, tuple[int, int] | None]:
    """(positions of no patch, rows and columns of patches): a square grid, or that of the config's image size."""
    if positions is None:
        how["image"] = "it has no learned position embedding, so takes any image"
        return 0, None
    own = cls + dist
    side = config.get("image_size")
    if isinstance(side, (list, tuple)) and len(side) == 2 and patch and all(isinstance(one, int) for one in side):
        grid = side[0] // patch[0], side[1] // patch[1]
        if 0 <= positions - grid[0] * grid[1] <= own + registers:
            return positions - grid[0] * grid[1], grid
    for extra in dict.fromkeys((own, 0, own + registers, 1, 2)):
        root = isqrt(max(positions - extra, 0))
        if root and root * root == positions - extra and extra <= own + registers:
            return extra, (root, root)
    how["image"] = f"{positions} positions are no square grid, with or without class token: the image was not square"
    return own, None


def heads_of(named: Named, sizes: Mapping[str, int], config: Mapping[str, Any], how: dict[str, str]) -> int | None:
    """Attention heads, where anything tells them; `how` says what, or why not."""
    if named.heads is not None:
        how["heads"] = "kernels are kept as width × heads × width of a head"
        return named.heads
    if "heads" in sizes:
        how["heads"] = "from the relative position table"
        return sizes["heads"]
    normed = sizes.get("dim_head") if has(named, "q_norm") else None
    if normed and normed != sizes["inner"] and sizes["inner"] % normed == 0:
        how["heads"] = f"queries are normalised {normed} wide: {sizes['inner']} / {normed}"
        return sizes["inner"] // normed
    for key in ROLES["heads"]:
        if isinstance(config.get(key), int) and config[key] > 0:
            how["heads"] = f"from {key} of the config.json beside it"
            return int(config[key])
    how["heads"] = f"no tensor's shape depends on how {sizes['inner']} is cut into heads"
    return None


def likely_heads(dim: int, inner: int) -> int:
    """Heads of the published models of that width, else heads of width 64, else the largest that divides below."""
    published = {1152: 16, 1280: 16, 1408: 16, 1536: 24, 1664: 16, 1792: 16, 6144: 48}
    if inner == dim and dim in published:
        return published[dim]
    if inner % 64 == 0:
        return inner // 64
    return next(heads for heads in range(max(1, inner // 16), 0, -1) if inner % heads == 0)


def parameters(entries: Mapping[str, Entry]) -> int:
    return sum(entry.numel for entry in entries.values())
