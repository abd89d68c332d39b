"""Finds class, distillation and register tokens, or their positions, that only one side has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vit_trace.weights.causes import Misfit, MisfitKind, finder_by_role, on_axes
from vit_trace.weights.compare import Item
from vit_trace.weights.describe import Description
from vit_trace.weights.layouts import part_of

TOKENS = MisfitKind(
    "checkpoint-tokens",
    "Only one side has a class, distillation or register token, or the numbers of them differ.",
    "positions registers",
)


@finder_by_role(40)
def find_tokens(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    """Class, distillation or register tokens that only one of them has, or another count of them."""
    own = tuple(item for item in items if item.role in ("cls", "dist", "registers"))
    parts, roles = [], {}
    if ours.registers != theirs.registers:
        parts.append(f"{ours.registers or 'no'} register tokens, this model {theirs.registers or 'none'}")
        roles["registers"] = ours.registers
    for name, has, needs in (("class", ours.cls, theirs.cls), ("distillation", ours.dist, theirs.dist)):
        if has != needs:
            parts.append(f"{'a' if has else 'no'} {name} token, this model {'one' if needs else 'none'}")
    counted = tuple(item for item in own if "registers" in item.axes or item.have is None or item.want is None)
    if not parts or not counted:
        return
    found = counted
    if ours.grid == theirs.grid:
        found = (*found, *on_axes(items, "positions"))
    if ours.dist != theirs.dist:
        found = (*found, *(item for item in items if part_of(item.role).startswith("head_dist")))
    yield TOKENS(f"checkpoint has {'; '.join(parts)}", found, dict(roles))


@finder_by_role(41)
def find_positions_of_tokens(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    """The same patches, but a position for the class token in one of the two only."""
    found = on_axes(items, "positions")
    if found and ours.grid is not None and ours.grid == theirs.grid and ours.extra != theirs.extra:
        rows, other = ours.extra or "none", theirs.extra or "none"
        more = f"{rows} besides those of the {ours.grid[0]}×{ours.grid[1]} patches, this model {other}"
        yield TOKENS(f"checkpoint's position embedding has {more}", found)
