"""Finds another patch size, image size or number of channels, and tokens or positions that only one side has."""

import re
from collections.abc import Iterator, Sequence
from math import isqrt

from vit_trace.base.trace import Value
from vit_trace.base.words import shape_text
from vit_trace.weights.causes import Misfit, MisfitKind, finder_by_name, finder_by_role, on_axes
from vit_trace.weights.compare import Comparison, Item
from vit_trace.weights.describe import Description
from vit_trace.weights.layouts import part_of

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
    "window rel",
)

WINDOW_NAME = re.compile(r"relative_position|rel_pos|attention_bias(es|_idxs)$|attn_mask|relative_coords")
POSITION_NAME = re.compile(r"(^|[._])(?<!relative_)pos(ition)?(al)?_?(embed|emb|bias)")
MOST_KEPT = 6
"""Rows of a position embedding that may be no patch's, at most; one less."""

TOKENS = MisfitKind(
    "checkpoint-tokens",
    "Only one side has a class, distillation or register token, or the numbers of them differ.",
    "positions registers",
)


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
    what = f"checkpoint was made with patch {_side_text(ours.patch)}, this model has patch {_side_text(theirs.patch)}"
    yield Misfit(PATCH, what, found, roles)


@finder_by_role(31)
def find_channels(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    found = on_axes(items, "channels", "patch_dim")
    if found and ours.channels != theirs.channels and ours.channels is not None:
        message = f"checkpoint takes images of {ours.channels} channels, this model of {theirs.channels}"
        yield Misfit(CHANNELS, message, found, {"channels": ours.channels})


@finder_by_role(40)
def find_tokens(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    own = (item for item in items if item.role in ("cls", "dist", "registers", "detection"))
    parts: list[str] = []
    roles: dict[str, Value] = {}
    if ours.registers != theirs.registers:
        parts.append(f"{ours.registers or 'no'} register tokens, this model {theirs.registers or 'none'}")
        roles["registers"] = ours.registers
    for name, has, needs in (("class", ours.cls, theirs.cls), ("distillation", ours.dist, theirs.dist)):
        if has != needs:
            parts.append(f"{'a' if has else 'no'} {name} token, this model {'one' if needs else 'none'}")
    if ours.detection != theirs.detection:
        parts.append(f"{ours.detection or 'no'} detection tokens, this model {theirs.detection or 'none'}")
    found = [item for item in own if "registers" in item.axes or item.have is None or item.want is None]
    if parts and found:
        if ours.grid == theirs.grid:
            found += on_axes(items, "positions")
        if ours.dist != theirs.dist:
            found += (item for item in items if part_of(item.role).startswith("head_dist"))
        notes = _rows_of(ours, theirs)
        if ours.dist > theirs.dist or ours.detection > theirs.detection:
            notes += ("those tokens take part in attention: without them the model has to be trained further",)
        yield Misfit(TOKENS, f"checkpoint has {'; '.join(parts)}", tuple(found), roles, notes=notes)


def _rows_of(ours: Description, theirs: Description) -> tuple[str, ...]:
    """What the positions of the checkpoint are: 198 = 14·14 + 2, the class and the distillation token."""
    if ours.positions is None or ours.positions == theirs.positions or not ours.grid or not theirs.positions:
        return ()
    more = ours.positions - ours.grid[0] * ours.grid[1]
    names = [word for word, has in (("class", ours.cls), ("distillation", ours.dist)) if has and ours.extra]
    names += [f"{ours.detection} detection"] if ours.detection else []
    names += [f"{ours.registers} register"] if ours.registers and ours.extra > len(names) else []
    tokens = f" ({', '.join(names)} token{'s' * (more != 1)})" if names else ""
    grid = f"{ours.grid[0]}·{ours.grid[1]}"
    return (
        f"its position embedding has {ours.positions} = {grid} + {more} rows{tokens}, this model's {theirs.positions}",
    )


@finder_by_role(52)
def find_relative(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    """SAM's tables of 2·side - 1 relative positions along one side: of a window, or of the whole image."""
    if found := on_axes(items, "rel"):
        have, want = ((sides or (0,))[0] // 2 + 1 for sides in (found[0].have, found[0].want))
        what = f"{found[0].ours} reaches over {have} patches a side, in this model over {want}"
        note = "another window, another image, or attention over the whole image in other layers"
        yield Misfit(WINDOW, f"checkpoint's relative positions differ: {what}", found, notes=(note,))


@finder_by_role(41)
def find_positions_of_tokens(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    """The same patches, but a position for the class token in one of the two only."""
    found = on_axes(items, "positions")
    if found and ours.grid is not None and ours.grid == theirs.grid and ours.extra != theirs.extra:
        rows, other = ours.extra or "none", theirs.extra or "none"
        more = f"{rows} besides those of the {ours.grid[0]}×{ours.grid[1]} patches, this model {other}"
        yield Misfit(TOKENS, f"checkpoint's position embedding has {more}", found)


@finder_by_role(50)
def find_image(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    found = on_axes(items, "positions")
    if not found or ours.positions is None or theirs.positions is None:
        return
    name = found[0].ours
    if ours.image is None or ours.patch is None or theirs.image is None:
        message = f"checkpoint has {ours.positions} positions ({name}), this model has {theirs.positions}"
        yield Misfit(IMAGE_SIZE, message, found)
        return
    own = f"{_by_text(ours.image)} with patch {_side_text(ours.patch)} ({ours.positions} positions)"
    message = f"checkpoint was made for {own}, this model has {_by_text(theirs.image)} ({theirs.positions})"
    help: tuple[str, ...] = ()
    if ours.grid and theirs.grid and ours.grid != theirs.grid and theirs.extra == ours.extra:
        help = (_interpolated(name, ours.grid, theirs.grid, ours.extra),)
    yield Misfit(IMAGE_SIZE, message, found, {"image": list(ours.image)}, help)


def _interpolated(name: str, have: tuple[int, int], want: tuple[int, int], kept: int) -> str:
    first = "row" if kept == 1 else f"{kept} rows"
    return f"interpolate {name} {_by_text(have)} → {_by_text(want)}{f', its first {first} kept' if kept else ''}"


def _between_squares(name: str, have: int, want: int) -> tuple[str, ...]:
    """How to interpolate, where both numbers of rows are a square grid and as many rows more."""
    for kept in range(min(MOST_KEPT, have, want)):
        sides = [isqrt(rows - kept) for rows in (have, want)]
        if [side * side + kept for side in sides] == [have, want] and min(sides) > 1:
            return (_interpolated(name, (sides[0],) * 2, (sides[1],) * 2, kept),)
    return ()


@finder_by_role(51)
def find_table(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    """BEiT's tables of relative positions: (2·grid - 1)² rows and 3 for the class token, by layer."""
    found = on_axes(items, "window")
    if not found or ours.patch is None or found[0].have is None or found[0].want is None:
        return
    have, want = (_window_side(rows - 3) for rows in (found[0].have[0], found[0].want[0]))
    if have and want:
        height, width = have * ours.patch[0], have * ours.patch[1]
        own = f"{height}×{width} with patch {_side_text(ours.patch)} (relative positions on {have}×{have} patches)"
        message = f"checkpoint was made for {own}, this model has {want}×{want} patches"
        yield Misfit(IMAGE_SIZE, message, found, {"image": [height, width]})


@finder_by_name(30)
def find_window(items: Sequence[Item], found: Comparison) -> Iterator[Misfit]:
    """Tables of relative positions of another window: (2·window - 1)² rows."""
    named = (item for item in items if WINDOW_NAME.search(item.name) and item.have and item.want)
    tables = tuple(item for item in named if (item.have or ())[0] != (item.want or ())[0])  # positions come first
    if not tables:
        return
    have, want = tables[0].have or (), tables[0].want or ()
    text, roles = f"{shape_text(have)} against {shape_text(want)}", {}
    if (side := _window_side(have[0])) and (other := _window_side(want[0])):
        text, roles = f"window {side} against {other} in this model", {"window": side}
    message = f"checkpoint's relative positions are for another window or image: {text}"
    yield Misfit(WINDOW, message, tables, dict(roles))


def _window_side(rows: int) -> int | None:
    return next((side for side in range(2, 65) if (2 * side - 1) ** 2 == rows), None)


@finder_by_name(40)
def find_positions(items: Sequence[Item], found: Comparison) -> Iterator[Misfit]:
    tables = tuple(item for item in items if POSITION_NAME.search(item.name) and item.have and item.want)
    for first in tables[:1]:
        have, want = first.have or (), first.want or ()
        odd = [pair for pair in zip(have, want, strict=False) if pair[0] != pair[1]]
        if len(odd) == 1:
            what = f"{first.name} is {shape_text(have)}, in this model {shape_text(want)}"
            message = f"checkpoint was made for another image size: {what}"
            yield Misfit(IMAGE_SIZE, message, tables, help=_between_squares(first.name, *odd[0]))


def _side_text(size: tuple[int, int]) -> str:
    """16, or 16×32 where the sides differ."""
    return str(size[0]) if size[0] == size[1] else _by_text(size)


def _by_text(size: tuple[int, int] | None) -> str:
    return f"{size[0]}×{size[1]}" if size else "another size"
