"""Rule: the heads divide the embedding dimension."""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.check.facts import Facts, Network, multiples_near
from vit_trace.check.rules import Change, Finding, rule


@rule("heads-do-not-divide-dim", "warning", shared=True)
def heads_divide_dim(facts: Facts) -> Iterator[Finding]:
    """Where the library takes dim // heads as the head dimension, a remainder is left out without a warning."""
    for network in facts.networks:
        dim, heads = network.get("dim"), network.get("heads")
        if dim is None or heads is None or "dim_head" in network:
            continue
        remainders = [(width, count) for width, count in network.pairs("dim", "heads") if count and width % count]
        for width, count in remainders[:1]:
            each = width // count
            yield Finding(
                f"{dim.name} {width} is not a multiple of {heads.name} {count}",
                (heads, dim),
                (f"{width} = {count}·{each} + {width % count}: attention is {count}·{each} = {count * each} wide",),
                tuple(_dividing(network, width, count)) if dim.whole else (),
            )


def _dividing(network: Network, width: int, count: int) -> Iterator[Change]:
    """Heads that divide the embedding dimension, the nearest first; then dimensions that the heads divide."""
    divisors = [one for one in range(1, width + 1) if width % one == 0]
    near = sorted(divisors, key=lambda one: max(one / count, count / one))[:2]
    yield from ({network["heads"].name: one} for one in near)
    yield from ({network["dim"].name: one} for one in multiples_near(width, count))
