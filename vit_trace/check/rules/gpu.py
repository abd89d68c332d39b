"""Rules about speed on a GPU.

Facts: NVIDIA's "Matrix Multiplication Background" asks for multiples of 8 in half precision and finds 64 best on A100;
FlashAttention-2 (Dao, 2023, https://arxiv.org/abs/2307.08691) supports head dimensions up to 256, in multiples of 8.
"""

from collections.abc import Iterator

from vit_trace.check.facts import Facts, Network, Quantity, multiples_near
from vit_trace.check.rules import Change, Finding, rule

ALIGNED, BETTER = 8, 64
"""Tensor cores need a multiple of the first number of features, and are filled best by a multiple of the second."""

FLASH_MOST = 256
"""Head dimension above which flash attention is not used."""


@rule("tensor-core-alignment", "note")
def alignment(facts: Facts) -> Iterator[Finding]:
    """A size that a GPU's tensor cores tile badly. In half precision they want multiples of 8 and are filled best by
    multiples of 64; anything else is padded or takes a slower kernel (NVIDIA, "Matrix Multiplication Background User's
    Guide").
    Example: dim 770 is not a multiple of 8.
    A note only: the result is the same.
    """
    note = f"tensor cores want multiples of {ALIGNED} and are filled best by multiples of {BETTER}"
    for network in facts.networks:
        for role in ("dim", "dim_head", "mlp_dim"):
            size = network.head_dimension if role == "dim_head" else network.whole(role)
            if not size or _well_aligned(role, size):
                continue
            name = network[role].name if role in network else "the head dimension"
            of = f"not a multiple of {ALIGNED}" if size % ALIGNED else f"a multiple of {ALIGNED} but not of {BETTER}"
            changes = tuple(_aligned(network, role))
            yield Finding(f"{name} {size} is {of}", network.present(role, "heads", "dim"), (note,), changes)


def _well_aligned(role: str, size: int) -> bool:
    """Whether a size needs no note; a head dimension that is not a multiple of 8 gets `flash`'s note."""
    if size % ALIGNED:
        return role == "dim_head"
    return role == "mlp_dim" or size % BETTER == 0 or (role == "dim_head" and BETTER % size == 0)


@rule("flash-attention-head", "note")
def flash(facts: Facts) -> Iterator[Finding]:
    """A head dimension that flash attention does not support: it supports multiples of 8 up to 256 (FlashAttention-2,
    Dao, 2023). scaled_dot_product_attention then pads, or chooses another kernel, which is slower and may keep the
    n × n matrix.
    A note only: the result is the same.
    """
    for network in facts.networks:
        each = network.head_dimension
        if not each or (each <= FLASH_MOST and each % ALIGNED == 0):
            continue
        limit = f"at most {FLASH_MOST}" if each > FLASH_MOST else f"multiples of {ALIGNED}"
        note = f"it supports {limit}; another kernel is used, or the head is padded"
        message = f"head dimension {each} does not fit flash attention"
        blame = network.present("dim_head", "heads", "dim")
        yield Finding(message, blame, (note,), tuple(_aligned(network, "dim_head")))


def _aligned(network: Network, role: str) -> Iterator[Change]:
    """Aligned sizes, together with the sizes that follow from them."""
    dim, heads = network.whole("dim"), network.whole("heads")
    names = {one: quantity.name for one, quantity in network.items()}
    if role == "mlp_dim" or dim is None or heads is None:
        size = network.whole(role)
        yield from ({names[role]: one} for one in multiples_near(size, BETTER)) if size else ()
        return
    for step in (BETTER, ALIGNED):
        for width in multiples_near(dim, step) if role == "dim" else (dim,):
            kept: Change = {names["dim"]: width} if role == "dim" else {}
            if role == "dim":
                yield kept
                if "dim_head" in names and width % heads == 0:
                    yield {**kept, names["dim_head"]: width // heads}
            for each in dict.fromkeys((BETTER, *multiples_near(width // heads, ALIGNED), 32, 128)):
                if each and width % each == 0:
                    head = {names["dim_head"]: each} if "dim_head" in names else {}
                    yield {**kept, names["heads"]: width // each, **head}


TILE, JUST_OVER = 64, 8
"""Tokens in a tile of an attention kernel, and how many in the last tile count as almost empty."""

PUBLISHED = {224, 256, 384, 448, 512}
"""Image sizes that published weights have."""


@rule("sequence-just-over-tile", "note")
def sequence(facts: Facts) -> Iterator[Finding]:
    """The number of tokens is slightly above a multiple of 64. Attention kernels work in tiles of 64, so the last tile
    is almost empty: 257 tokens cost as much as 320. Most ViTs are like that, because of the class token.
    A note only: another image size, or no class token, would cost less per token. Not said of the image sizes that
    published weights have (224, 256, 384, 448 and 512).
    """
    count = facts.tokens
    if count is None or count <= TILE or not 1 <= count % TILE <= JUST_OVER:
        return
    tiles, over = divmod(count, TILE)
    note = f"attention kernels work in tiles of {TILE}: {tiles + 1} tiles, {over} of {TILE} rows used in the last"
    image = next((network["image"] for network in facts.networks if "image" in network), None)
    patch = next((network["patch"] for network in facts.networks if "patch" in network), None)
    if image is not None and image.sides and set(image.sides) <= PUBLISHED:
        return
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
