"""Rules about widths: heads that do not make up the width, a feed-forward that narrows, one class."""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.check.rules.facts import Change, Facts, Finding, Network, Quantity, number, pairs


def heads_fill_dim(facts: Facts) -> Iterator[Finding]:
    """heads · dim_head is the width inside attention; with another width than the tokens it is hardly meant."""
    for network in facts.networks:
        dim, heads, dim_head = (network.get(role) for role in ("dim", "heads", "dim_head"))
        width, count, each = number(dim), number(heads), number(dim_head)
        if dim is None or heads is None or dim_head is None or not (width and count and each):
            continue
        if count * each != width:
            yield Finding(
                f"{heads.name} {count} × {dim_head.name} {each} = {count * each}, {dim.name} is {width}",
                (heads, dim_head, dim),
                (f"attention works on {count * each} values a token, everything else on {width}",),
                tuple(filling(dim, heads, dim_head)),
            )


def filling(dim: Quantity, heads: Quantity, dim_head: Quantity) -> Iterator[Change]:
    """One of the three so that heads · dim_head = dim."""
    width, count, each = number(dim) or 1, number(heads) or 1, number(dim_head) or 1
    if width % count == 0:
        yield {dim_head.name: width // count}
    if width % each == 0:
        yield {heads.name: width // each}
    yield {dim.name: count * each}


def heads_divide_dim(facts: Facts) -> Iterator[Finding]:
    """Where dim_head follows from dim and heads, a remainder is silently left out."""
    for network in facts.networks:
        dim, heads = network.get("dim"), network.get("heads")
        if dim is None or heads is None or "dim_head" in network:
            continue
        left = [(width, count) for width, count in pairs(dim, heads) if count and width % count]
        for width, count in left[:1]:
            each = width // count
            yield Finding(
                f"{dim.name} {width} is not a multiple of {heads.name} {count}",
                (heads, dim),
                (f"{width} = {count}·{each} + {width % count}: attention is {count}·{each} = {count * each} wide",),
                tuple(dividing(network, width, count)) if number(dim) else (),
            )


def dividing(network: Network, width: int, count: int) -> Iterator[Change]:
    """Heads that divide the width, the nearest first; widths that the heads divide."""
    divisors = [one for one in range(1, width + 1) if width % one == 0]
    near = sorted(divisors, key=lambda one: max(one / count, count / one))[:2]
    yield from ({network["heads"].name: one} for one in near)
    yield from ({network["dim"].name: one} for one in multiples(width, count))


def multiples(size: int, of: int) -> list[int]:
    """The nearest multiples of a number around a size."""
    below = size // of * of
    return sorted((one for one in (below, below + of) if one > 0 and one != size), key=lambda one: abs(one - size))


def narrow_mlp(facts: Facts) -> Iterator[Finding]:
    """The feed-forward is meant to widen: mlp_dim is 2 to 4 times dim in every published ViT."""
    for network in facts.networks:
        dim, mlp, ratio = network.get("dim"), network.get("mlp_dim"), network.get("mlp_ratio")
        if mlp is not None and dim is not None:
            for width, hidden in pairs(dim, mlp):
                if hidden < width:
                    wider: tuple[Change, ...] = ({mlp.name: 4 * width}, {mlp.name: 2 * width}) if number(mlp) else ()
                    message = f"{mlp.name} {hidden} is smaller than {dim.name} {width}"
                    yield Finding(message, (mlp, dim), ("the feed-forward narrows instead of widening",), wider)
                    break
        elif ratio is not None and isinstance(ratio.value, (int, float)) and 0 < ratio.value < 1:
            message = f"{ratio.name} {ratio.value:g} makes the feed-forward narrower than the tokens"
            yield Finding(message, (ratio,), (), ({ratio.name: 4.0}, {ratio.name: 2.0}))


def one_class(facts: Facts) -> Iterator[Finding]:
    """One score per image: softmax over it is always 1, cross entropy always 0."""
    for network in facts.networks:
        classes = network.get("classes")
        if classes is not None and classes.value == 1:
            note = "softmax over one class is always 1 and its cross entropy 0; one score suits a binary loss only"
            yield Finding(f"{classes.name} is 1", (classes,), (note,), ({classes.name: 2},))
