"""Rules: widths that do not fit each other."""

from collections.abc import Iterator

from vit_trace.base.numbers import divisors
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
    near = sorted(divisors(width), key=lambda one: max(one / count, count / one))[:2]
    yield from ({network["heads"].name: one} for one in near)
    yield from ({network["dim"].name: one} for one in multiples_near(width, count))


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
        ways = ((width % count, dim_head, width // count), (width % each, heads, width // each), (0, dim, count * each))
        yield Finding(
            f"{heads.name} {count} × {dim_head.name} {each} = {count * each}, {dim.name} is {width}",
            (heads, dim_head, dim),
            (f"attention works on {count * each} features per token, everything else on {width}",),
            tuple({one.name: size} for remainder, one, size in ways if not remainder),
        )


@rule("mlp-narrower-than-dim", "warning")
def narrow_mlp(facts: Facts) -> Iterator[Finding]:
    """The hidden dimension of the feed-forward is smaller than the embedding dimension.
    Example: mlp_dim 512 is smaller than dim 770.
    It runs, but compresses each token where every published ViT expands it two to four times (mlp_dim = 4 · dim is
    usual).
    """
    for network in facts.networks:
        dim, mlp, ratio = (network.get(role) for role in ("dim", "mlp_dim", "mlp_ratio"))
        if dim is not None and mlp is not None:
            narrow = [(width, hidden) for width, hidden in network.pairs("dim", "mlp_dim") if hidden < width]
            for width, hidden in narrow[:1]:  # of the layers or stages
                message = f"{mlp.name} {hidden} is smaller than {dim.name} {width}"
                note = "the feed-forward compresses each token instead of expanding it"
                changes = tuple({mlp.name: times * width} for times in (4, 2) if mlp.whole)
                yield Finding(message, (mlp, dim), (note,), changes)
        elif ratio is not None and isinstance(ratio.value, (int, float)) and 0 < ratio.value < 1:
            message = f"{ratio.name} {ratio.value:g} makes the feed-forward narrower than the tokens"
            yield Finding(message, (ratio,), (), ({ratio.name: 4.0}, {ratio.name: 2.0}))
