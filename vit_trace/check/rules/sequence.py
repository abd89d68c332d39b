"""Rule about speed on a GPU: the sequence is not just longer than a multiple of a tile."""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.check.facts import Facts, Quantity
from vit_trace.check.rules import Change, Finding, rule

TILE, JUST_OVER = 64, 8
"""Tokens in a tile of an attention kernel, and how many in the last tile count as almost empty."""


@rule("sequence-just-over-tile", "note")
def sequence(facts: Facts) -> Iterator[Finding]:
    """The number of tokens is slightly above a multiple of 64. Attention kernels work in tiles of 64, so the last tile
    is almost empty: 257 tokens cost as much as 320. Most ViTs are like that, because of the class token.
    A note only: another image size, or no class token, would cost less per token.
    """
    count = facts.tokens
    if count is None or count <= TILE or not 1 <= count % TILE <= JUST_OVER:
        return
    tiles, over = divmod(count, TILE)
    note = f"attention kernels work in tiles of {TILE}: {tiles + 1} tiles, {over} of {TILE} rows used in the last"
    image = next((network["image"] for network in facts.networks if "image" in network), None)
    patch = next((network["patch"] for network in facts.networks if "patch" in network), None)
    changes = tuple(_nearby(image, patch)) if image and patch else ()
    blame = tuple(one for one in (image, patch) if one is not None)
    yield Finding(f"{count} tokens are just over {tiles}·{TILE} = {tiles * TILE}", blame, (note,), changes)


def _nearby(image: Quantity, patch: Quantity) -> Iterator[Change]:
    """Square images of a few patches less or more on each side."""
    size, step = image.sides, patch.sides
    if size and step and size[0] == size[1] and step[0] == step[1]:
        side = size[0] // step[0]
        near = ((side + away) * step[0] for away in (-1, 1, -2, 2, -3, 3))
        yield from ({image.name: one} for one in near if one > 0)
