"""Finds another patch size, number of input channels or image size: rows of positions, tables of relative ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vit_trace.base.trace import Value
from vit_trace.base.words import shape_text
from vit_trace.weights.causes import Misfit, MisfitKind, finder_by_name, finder_by_role, on_axes
from vit_trace.weights.compare import Comparison, Item
from vit_trace.weights.describe import Description

PATCH = MisfitKind(
    "checkpoint-patch",
    "The patch size of the first layer differs. Its weights can be used only after resampling.",
    "patch patch_dim positions",
)
CHANNELS = MisfitKind("checkpoint-channels", "The number of input channels differs.", "channels patch_dim")
IMAGE_SIZE = MisfitKind(
    "checkpoint-image-size",
    """
    The position embedding has one row per patch, so it fits one image size and patch size only.
    Example: 577 = 24·24 + 1 positions for 384×384 with patch 16; 197 = 14·14 + 1 for 224×224.
    Build the model for the checkpoint's image size, or interpolate the embedding to the new grid.
    """,
    "positions window",
)
WINDOW = MisfitKind(
    "checkpoint-window",
    "A table of relative positions has (2·window - 1)² rows: it fits one window size, or one image size.",
)

WINDOW_NAME = re.compile(r"relative_position|rel_pos|attention_bias(es|_idxs)$|attn_mask|relative_coords")
POSITION_NAME = re.compile(r"(^|[._])(?<!relative_)pos(ition)?(al)?_?(embed|emb|bias)")


@finder_by_role(30)
def find_patch(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    found = on_axes(items, "patch", "patch_dim")
    if not found or not ours.patch or not theirs.patch or ours.patch == theirs.patch:
        return
    roles: dict[str, Value] = {"patch": list(ours.patch)}
    if ours.image == theirs.image:
        found = (*found, *on_axes(items, "positions"))
    elif ours.image is not None and not on_axes(items, "positions"):
        roles["image"] = list(ours.image)
    what = f"checkpoint was made with patch {side_text(ours.patch)}, this model has patch {side_text(theirs.patch)}"
    yield PATCH(what, found, roles)


@finder_by_role(31)
def find_channels(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    found = on_axes(items, "channels", "patch_dim")
    if found and ours.channels != theirs.channels and ours.channels is not None:
        message = f"checkpoint takes images of {ours.channels} channels, this model of {theirs.channels}"
        yield CHANNELS(message, found, {"channels": ours.channels})


@finder_by_role(50)
def find_image(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    found = on_axes(items, "positions")
    if not found or ours.positions is None or theirs.positions is None:
        return
    name = found[0].ours
    if ours.image is None or ours.patch is None or theirs.image is None:
        message = f"checkpoint has {ours.positions} positions ({name}), this model has {theirs.positions}"
        yield IMAGE_SIZE(message, found)
        return
    message = (
        f"checkpoint was made for {by_text(ours.image)} with patch {side_text(ours.patch)} ({ours.positions} "
        f"positions), this model has {by_text(theirs.image)} ({theirs.positions})"
    )
    help: tuple[str, ...] = ()
    if ours.grid and theirs.grid and ours.grid != theirs.grid and theirs.extra == ours.extra:
        first = "row" if ours.extra == 1 else f"{ours.extra} rows"
        extra = f", its first {first} kept" if ours.extra else ""
        help = (f"interpolate {name} {by_text(ours.grid)} → {by_text(theirs.grid)}{extra}",)
    yield IMAGE_SIZE(message, found, {"image": list(ours.image)}, help)


@finder_by_role(51)
def find_table(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    """BEiT's tables of relative positions: (2·grid - 1)² rows and 3 for the class token, by layer."""
    found = on_axes(items, "window")
    if not found or ours.patch is None or found[0].have is None or found[0].want is None:
        return
    have, want = (window_side(rows - 3) for rows in (found[0].have[0], found[0].want[0]))
    if have and want:
        height, width = have * ours.patch[0], have * ours.patch[1]
        message = (
            f"checkpoint was made for {height}×{width} with patch {side_text(ours.patch)} (relative positions on "
            f"{have}×{have} patches), this model has {want}×{want} patches"
        )
        yield IMAGE_SIZE(message, found, {"image": [height, width]})


@finder_by_name(30)
def find_window(items: Sequence[Item], found: Comparison) -> Iterator[Misfit]:
    """Tables of relative positions of another window: (2·window - 1)² rows."""
    tables = tuple(item for item in items if WINDOW_NAME.search(item.name) and resized(item))
    if not tables:
        return
    first = tables[0]
    assert first.have is not None and first.want is not None
    text = f"{shape_text(first.have)} against {shape_text(first.want)}"
    sides = [side for shape in (first.have, first.want) if (side := window_side(shape[0]))]
    if len(sides) == 2:
        text = f"window {sides[0]} against {sides[1]} in this model"
    message = f"checkpoint's relative positions are for another window or image: {text}"
    yield WINDOW(message, tables, {"window": sides[0]} if len(sides) == 2 else {})


def window_side(rows: int) -> int | None:
    return next((side for side in range(2, 65) if (2 * side - 1) ** 2 == rows), None)


def resized(item: Item) -> bool:
    """Whether the first axis, that of positions, has another size."""
    return bool(item.have and item.want and item.have[0] != item.want[0])


@finder_by_name(40)
def find_positions(items: Sequence[Item], found: Comparison) -> Iterator[Misfit]:
    tables = tuple(item for item in items if POSITION_NAME.search(item.name) and item.have and item.want)
    if tables:
        first = tables[0]
        assert first.have is not None and first.want is not None
        if sum(a != b for a, b in zip(first.have, first.want, strict=False)) == 1:
            what = f"{first.name} is {shape_text(first.have)}, in this model {shape_text(first.want)}"
            yield IMAGE_SIZE(f"checkpoint was made for another image size: {what}", tables)


def side_text(size: tuple[int, int]) -> str:
    """16, or 16×32 where the sides differ."""
    return str(size[0]) if size[0] == size[1] else by_text(size)


def by_text(size: tuple[int, int] | None) -> str:
    return f"{size[0]}×{size[1]}" if size else "another size"
