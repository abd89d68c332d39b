"""Rule: heads · dim_head is the embedding dimension."""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.check.facts import Facts, Quantity
from vit_trace.check.rules import Change, Finding, rule


@rule("heads-do-not-fill-dim", "warning")
def heads_fill_dim(facts: Facts) -> Iterator[Finding]:
    """heads · dim_head, the dimension inside attention, is not dim, the embedding dimension.
    Example: heads 12 × dim_head 64 = 768, dim is 770.
    It runs: to_qkv and to_out project between the two. In every published ViT they are equal, so most often one of the
    three numbers was changed and the others were forgotten. Set dim_head to dim / heads.
    """
    for network in facts.networks:
        dim, heads, dim_head = (network.get(role) for role in ("dim", "heads", "dim_head"))
        width, count, each = (network.whole(role) for role in ("dim", "heads", "dim_head"))
        if not (dim and heads and dim_head and width and count and each) or count * each == width:
            continue
        yield Finding(
            f"{heads.name} {count} × {dim_head.name} {each} = {count * each}, {dim.name} is {width}",
            (heads, dim_head, dim),
            (f"attention works on {count * each} features per token, everything else on {width}",),
            tuple(_filling(dim, heads, dim_head)),
        )


def _filling(dim: Quantity, heads: Quantity, dim_head: Quantity) -> Iterator[Change]:
    """One of the three so that heads · dim_head = dim."""
    width, count, each = dim.whole or 1, heads.whole or 1, dim_head.whole or 1
    if width % count == 0:
        yield {dim_head.name: width // count}
    if width % each == 0:
        yield {heads.name: width // each}
    yield {dim.name: count * each}
