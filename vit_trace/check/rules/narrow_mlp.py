"""Rule: the hidden dimension of the feed-forward is at least the embedding dimension."""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.check.facts import Facts, Network
from vit_trace.check.rules import Change, Finding, rule


@rule("mlp-narrower-than-dim", "warning")
def narrow_mlp(facts: Facts) -> Iterator[Finding]:
    """The hidden dimension of the feed-forward is smaller than the embedding dimension.
    Example: mlp_dim 512 is smaller than dim 770.
    It runs, but compresses each token where every published ViT expands it two to four times (mlp_dim = 4 · dim is
    usual).
    """
    for network in facts.networks:
        if "mlp_dim" in network and "dim" in network:
            yield from _narrow_width(network)
        elif "mlp_ratio" in network:
            yield from _narrow_ratio(network)


def _narrow_width(network: Network) -> Iterator[Finding]:
    """The first layer or stage whose hidden dimension is smaller."""
    dim, mlp = network["dim"], network["mlp_dim"]
    narrow = [(width, hidden) for width, hidden in network.pairs("dim", "mlp_dim") if hidden < width]
    for width, hidden in narrow[:1]:
        wider: tuple[Change, ...] = ({mlp.name: 4 * width}, {mlp.name: 2 * width}) if mlp.whole else ()
        message = f"{mlp.name} {hidden} is smaller than {dim.name} {width}"
        yield Finding(message, (mlp, dim), ("the feed-forward compresses each token instead of expanding it",), wider)


def _narrow_ratio(network: Network) -> Iterator[Finding]:
    ratio = network["mlp_ratio"]
    if isinstance(ratio.value, (int, float)) and 0 < ratio.value < 1:
        message = f"{ratio.name} {ratio.value:g} makes the feed-forward narrower than the tokens"
        yield Finding(message, (ratio,), (), ({ratio.name: 4.0}, {ratio.name: 2.0}))
