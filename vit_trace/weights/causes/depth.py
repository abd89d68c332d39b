"""Finds another number of layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vit_trace.weights.causes import NUMBER, Misfit, MisfitKind, finder_by_name, finder_by_role
from vit_trace.weights.compare import Comparison, Item
from vit_trace.weights.describe import Description
from vit_trace.weights.layouts import block_of

DEPTH = MisfitKind(
    "checkpoint-depth",
    """
    The two have different numbers of layers.
    """,
)


@finder_by_role(10)
def find_depth(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    if ours.depth != theirs.depth:
        least = min(ours.depth, theirs.depth)
        blocks = tuple(item for item in items if (block := block_of(item.role)) is not None and block >= least)
        message = f"checkpoint has {ours.depth} layers, this model has {theirs.depth}"
        yield DEPTH(message, blocks, {"depth": ours.depth})


@finder_by_name(10)
def find_layers(items: Sequence[Item], found: Comparison) -> Iterator[Misfit]:
    """Numbered layers that only one side has, after those that both have."""
    mine, others = layer_numbers(found.left), layer_numbers(found.right)
    for container in sorted(mine.keys() & others.keys()):
        have, want = 1 + max(mine[container]), 1 + max(others[container])
        least = min(have, want)
        if have == want or not mine[container] & others[container]:
            continue
        inside = tuple(item for item in items if layer_in(item, found, container) >= least)
        if inside:
            message = f"checkpoint has {have} layers in {container.rstrip('.')}, this model has {want}"
            yield DEPTH(message, inside)


def layer_numbers(names: Sequence[str]) -> dict[str, set[int]]:
    """The numbers after each container: {"layers.2.blocks.": {0, 1, 2}}."""
    counts: dict[str, set[int]] = {}
    for name in names:
        for number in NUMBER.finditer(name):
            counts.setdefault(name[: number.start()], set()).add(int(number[0][:9]))
    return counts


def layer_in(item: Item, found: Comparison, container: str) -> int:
    """The number of the item's layer in a container; -1 outside of it."""
    name = item.theirs.removeprefix(found.add) if item.theirs else item.ours.removeprefix(found.strip)
    number = re.match(r"\d+", name[len(container) :]) if name.startswith(container) else None
    return int(number[0][:9]) if number else -1
