"""Finds how a checkpoint can be loaded into a model as it is: what to rename, join, resize and leave out. No torch.

A remedy is given only where every tensor of both sides is accounted for, so that strict loading succeeds.
"""

import re
from collections.abc import Iterable, Mapping
from math import isqrt, prod

from msgspec.structs import replace

from vit_trace.weights.compare import Comparison, Item
from vit_trace.weights.data import Entry
from vit_trace.weights.describe import Description
from vit_trace.weights.layouts import part_of
from vit_trace.weights.mapping import Conversion, Move, Part, Resize, left_after, shape_of_move
from vit_trace.weights.naming import modules_of, own_part

BUFFER = re.compile(
    r"(^|\.)(position_ids|relative_position_index|num_batches_tracked|attn_mask|relative_coords_table|pos_ids"
    r"|attention_bias_idxs|rope_embed|rope|inv_freq|periods|bias_mask)$"
)
"""Names of buffers that follow from the config: a model computes them."""

SPARE = (
    "dist",
    "detection",
    "head",
    "head_dist",
    "pooler",
    "pool",
    "pre_logits",
    "proj",
    "head_norm",
    "mask",
    "index",
    "decoder",
    "shared_relative",
)
"""Roles after the tokens, or used in training only: the model computes the same features without them."""

HEAD = re.compile(
    r"(^|\.)(heads?|classifier|cls_classifier|distillation_classifier|head_dist|fc|linear_head|mlp_head)\."
)
OF_LOSS = re.compile(r"(^|\.)(logit_scale|logit_bias|temperature|pixel_mean|pixel_std)$")
PART_OF_NETWORK = re.compile(r"norm|(^|[._])ln|embed|token|pos|stem|block|layer|gamma|scale|patch|conv")


def is_buffer(name: str) -> bool:
    """Whether a tensor follows from the config, by its name."""
    return BUFFER.search(name) is not None


def remedy_for(
    found: Comparison, ours: Mapping[str, Entry], theirs: Mapping[str, Entry], sides: tuple[Description, ...] = ()
) -> Conversion | None:
    """How to load the checkpoint `ours` into the model `theirs`; None where something has no place or no source."""
    moves, kept = [], []
    roles = {piece.name: role for role, piece in found.theirs.pieces.items()} if found.theirs else {}
    for name, entry in theirs.items():
        move = _move(name, found, ours, entry, sides)
        if move is not None:
            moves.append(move)
        elif (
            roles.get(name, "").split(".")[0] in ("head", "head_dist")
            or is_buffer(name)
            or (name not in roles and HEAD.search(name))
        ):
            kept.append(name)
        else:
            return None
    used = {part.name for move in moves for part in move.parts}
    spare = [name for name in ours if name not in used]
    sparing = Sparing(found, used)
    if not moves or not all(map(sparing.is_spare, spare)):
        return None
    remedy = Conversion(tuple(moves), tuple(spare), tuple(kept))
    return None if left_after(remedy, ours, theirs) else remedy


class Sparing:
    """Which tensors of a checkpoint a model does without, once it uses some of them."""

    def __init__(self, found: Comparison, used: Iterable[str]) -> None:
        self.strip = found.strip
        self.used = modules_of(used)
        self.roles = {piece.name: role for role, piece in found.ours.pieces.items()} if found.ours else {}

    def part(self, name: str) -> str:
        """The outermost module of a tensor that nothing is used from; else its name."""
        return own_part(name, self.used)

    def is_spare(self, name: str) -> bool:
        """Whether a tensor can be left out: what the model computes up to its head does not need it."""
        if (role := self.roles.get(name)) is not None:
            return part_of(role).split(".")[0] in SPARE or role.split(".")[0] in SPARE or role.endswith(".k.bias")
        if is_buffer(name) or HEAD.search(name) or OF_LOSS.search(name) or not name.startswith(self.strip):
            return True
        own = self.part(name).removeprefix(self.strip)
        return re.search(r"(^|\.)\d+\.", own) is None and PART_OF_NETWORK.search(own) is None


def _move(
    name: str, found: Comparison, ours: Mapping[str, Entry], entry: Entry, sides: tuple[Description, ...]
) -> Move | None:
    """How a tensor of the model is made; None where nothing of the checkpoint makes it in its shape."""
    parts = found.sources.get(name)
    if parts is None:
        return None
    plain = Move(name, tuple(replace(part, view=None) if not part.rows else part for part in parts), entry.shape)
    move = plain if shape_of_move(plain, ours) == entry.shape else Move(name, parts, entry.shape)
    if shape_of_move(move, ours) == entry.shape:
        return move
    if len(parts) != 1 or not parts[0].name:
        return None
    have = ours[parts[0].name].shape
    item = Item(parts[0].name, name, have, entry.shape)
    if name.endswith("relative_position_bias_table"):
        return _window(item)
    return _positions(item, sides) if len(sides) == 2 else _square_positions(item)


def _positions(item: Item, sides: tuple[Description, ...]) -> Move | None:
    """A position embedding for another grid, or without the rows of tokens that the model does not have."""
    one, two = sides
    have, want = item.have or (), item.want or ()
    if len(want) < 2 or have[-1:] != want[-1:] or prod(have[:-1]) != one.positions or not one.grid or not two.grid:
        return None
    rows, width = one.positions, have[-1]
    if one.extra == two.extra:
        kept = (0, one.extra)
    elif one.dist and not two.dist and (one.extra, two.extra) == (2, 1):
        kept = (0, 1)
    else:
        return None
    patches = (one.extra, one.extra + prod(one.grid))
    spans = [(0, patches[1])] if kept[1] == patches[0] else [kept, patches]
    view = (rows, width)
    parts = (Part(item.ours),) if spans == [(0, rows)] else tuple(Part(item.ours, view, span) for span in spans)
    if one.grid == two.grid:
        return Move(item.theirs, parts, want)
    before = (*want[:-2], two.extra + prod(one.grid), width)
    return Move(item.theirs, parts, before, Resize("grid", one.grid, two.grid, two.extra))


def _window(item: Item) -> Move | None:
    """A table of relative positions for another window: (2·side - 1)² rows, and as many more on both sides."""
    have, want = item.have or (0,), item.want or (0,)
    for kept in (0, 3):  # BEiT has three for the class token
        one, two = ((isqrt(max(rows - kept, 0)) + 1) // 2 for rows in (have[0], want[0]))
        if [(2 * side - 1) ** 2 + kept for side in (one, two)] == [have[0], want[0]] and have[1:] == want[1:]:
            return Move(item.theirs, (Part(item.ours),), have, Resize("window", (one,) * 2, (two,) * 2, kept))
    return None


def _square_positions(item: Item) -> Move | None:
    """A table of positions that is a square grid on both sides, with as many rows before it, or a square window."""
    have, want = item.have or (), item.want or ()
    if len(have) != len(want) or len(have) < 2:
        return None
    if re.search(r"(^|[._])pos", item.theirs) and have[-1] == want[-1] and have[:-2] == want[:-2]:
        for kept in range(min(6, have[-2], want[-2])):
            grids = [isqrt(rows[-2] - kept) for rows in (have, want)]
            if [side * side + kept for side in grids] == [have[-2], want[-2]] and min(grids) > 1:
                grid = Resize("grid", (grids[0],) * 2, (grids[1],) * 2, kept)
                return Move(item.theirs, (Part(item.ours),), have, grid)
    return None
