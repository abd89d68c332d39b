"""Rules: widths that do not fit each other."""

from collections.abc import Iterator

from vit_trace.base.numbers import divisors
from vit_trace.check.facts import Facts, Network, Quantity, multiples_near
from vit_trace.check.rules import Change, Finding, rule

NEARLY = 0.25
"""Share of a width by which another one differs at most to be taken for it with a mistake."""

WIDTHS = (192, 384, 768, 1024, 1280)
"""Embedding dimensions of published ViTs."""


@rule("heads-do-not-divide-dim", "warning", shared=True)
def heads_divide_dim(facts: Facts) -> Iterator[Finding]:
    """Where the library takes dim // heads as the head dimension, a remainder is left out without a warning."""
    for network in facts.networks:
        dim, heads = network.get("dim"), network.get("heads")
        if dim is None or heads is None or not network.keys().isdisjoint(("dim_head", "key_dim")):
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
    It runs: to_qkv and to_out project between the two. Where they are nearly equal, most often one of the three numbers
    was changed and the others were forgotten. Set dim_head to dim / heads. Not said where they differ by a quarter or
    more: attention of another width is a choice.
    """
    for network in facts.networks:
        dim, heads, dim_head = (network.get(role) for role in ("dim", "heads", "dim_head"))
        width, count, each = (network.whole(role) for role in ("dim", "heads", "dim_head"))
        if not (dim and heads and dim_head and width and count and each) or count * each == width:
            continue
        if not width * (1 - NEARLY) < count * each < width * (1 + NEARLY):
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


@rule("mlp-of-another-width", "warning")
def mlp_of_another_width(facts: Facts) -> Iterator[Finding]:
    """The hidden dimension of the feed-forward is four times the embedding dimension of another published ViT.
    Example: hidden_size 192 with intermediate_size 3072, which is 4 · 768.
    It runs, but most often hidden_size was changed and intermediate_size was forgotten. Said where it is at least six
    times, or less than twice, the embedding dimension.
    """
    for network in facts.networks:
        dim, mlp = network.whole("dim"), network.whole("mlp_dim")
        if not dim or not mlp or mlp % 4 or mlp // 4 not in WIDTHS or 2 * dim <= mlp < 6 * dim or mlp < dim:
            continue
        names = network["dim"].name, network["mlp_dim"].name
        note = f"{mlp} = 4 · {mlp // 4}; 4 · {dim} = {4 * dim}"
        message = f"{names[1]} {mlp} is four times {mlp // 4}, but {names[0]} is {dim}"
        yield Finding(message, network.present("mlp_dim", "dim"), (note,), ({names[1]: 4 * dim},))


@rule("stages-of-other-length", "warning")
def stage_lists(facts: Facts) -> Iterator[Finding]:
    """The lists of layers and of heads have different lengths, though each has one value for each stage. What is too
    long is not read to its end.
    """
    for network in facts.networks:
        heads = network.get("heads")
        if heads is None or not isinstance(heads.value, tuple):
            continue
        prefix = heads.name.rpartition(".")[0]
        for name in ("depths", "layers", "num_layers"):
            dotted = f"{prefix}.{name}" if prefix else name
            layers = facts.target.arguments.get(dotted)
            if isinstance(layers, (list, tuple)) and len(layers) != len(heads.value):
                message = f"{heads.name} has {len(heads.value)} values, {dotted} has {len(layers)}"
                place = Quantity("depth", dotted, len(layers), facts.places.get(dotted))
                yield Finding(message, (heads, place), ("each has one value for each stage",))
