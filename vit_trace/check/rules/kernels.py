"""Notes about speed on a GPU: widths that tensor cores tile badly, sequences just past a tile, heads too wide.

Facts: NVIDIA's "Matrix Multiplication Background" asks for multiples of 8 in half precision and finds 64 best on A100;
FlashAttention-2 (Dao, 2023, https://arxiv.org/abs/2307.08691) takes heads up to 256 wide, in multiples of 8.
"""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.check.rules.facts import Change, Facts, Finding, Network, number
from vit_trace.check.rules.training import sides
from vit_trace.check.rules.widths import multiples

ALIGNED, BETTER = 8, 64
FLASH_MOST = 256
TILE, JUST_OVER = 64, 8


def alignment(facts: Facts) -> Iterator[Finding]:
    """dim and dim_head in multiples of 8, better of 64; mlp_dim in multiples of 8."""
    for network in facts.networks:
        for role in ("dim", "dim_head", "mlp_dim"):
            size = head_width(network) if role == "dim_head" else number(network.get(role))
            if not size or well_aligned(role, size):
                continue
            blame = tuple(network[one] for one in (role, "heads", "dim") if one in network)
            name = network[role].name if role in network else "a head's width"
            what = (
                f"a multiple of {ALIGNED} but not of {BETTER}" if size % ALIGNED == 0 else f"no multiple of {ALIGNED}"
            )
            note = f"tensor cores want multiples of {ALIGNED} and are filled best by multiples of {BETTER}"
            yield Finding(f"{name} {size} is {what}", blame, (note,), tuple(aligned(network, role)))


def well_aligned(role: str, size: int) -> bool:
    """Whether nothing is to be said of a size; a head that is not a multiple of 8 is `flash`'s to speak of."""
    if size % ALIGNED:
        return role == "dim_head"
    return role == "mlp_dim" or size % BETTER == 0 or (role == "dim_head" and BETTER % size == 0)


def head_width(network: Network) -> int | None:
    """The width of a head: given, or what heads make of dim."""
    if "dim_head" in network:
        return number(network["dim_head"])
    dim, heads = number(network.get("dim")), number(network.get("heads"))
    return dim // heads if dim and heads and dim % heads == 0 else None


def aligned(network: Network, role: str) -> Iterator[Change]:
    """Sizes that are aligned, what depends on them following."""
    dim, heads = number(network.get("dim")), number(network.get("heads"))
    names = {one: quantity.name for one, quantity in network.items()}
    if role == "mlp_dim" or dim is None or heads is None:
        size = number(network.get(role))
        yield from ({names[role]: one} for one in multiples(size, BETTER)) if size else ()
        return
    for step in (BETTER, ALIGNED):
        for width in multiples(dim, step) if role == "dim" else (dim,):
            kept: Change = {names["dim"]: width} if role == "dim" else {}
            if role == "dim":
                yield kept
                if "dim_head" in names and width % heads == 0:
                    yield {**kept, names["dim_head"]: width // heads}
            for each in dict.fromkeys((BETTER, *multiples(width // heads, ALIGNED), 32, 128)):
                if each and width % each == 0:
                    head = {names["dim_head"]: each} if "dim_head" in names else {}
                    yield {**kept, names["heads"]: width // each, **head}


def sequence(facts: Facts) -> Iterator[Finding]:
    """A few tokens past a multiple of 64 cost a whole tile more."""
    count = facts.tokens
    if count is None or count <= TILE or not 1 <= count % TILE <= JUST_OVER:
        return
    tiles, over = divmod(count, TILE)
    note = (
        f"attention kernels work in tiles of {TILE}: it takes {tiles + 1}, and fills {over} of {TILE} rows of the last"
    )
    image = next((network["image"] for network in facts.networks if "image" in network), None)
    patch = next((network["patch"] for network in facts.networks if "patch" in network), None)
    changes: list[Change] = []
    size, step = sides(image) if image else None, sides(patch) if patch else None
    if image and size and step and size[0] == size[1] and step[0] == step[1]:
        side = size[0] // step[0]
        near = (max(side + away, 0) * step[0] for away in (-1, 1, -2, 2, -3, 3))
        changes = [{image.name: one} for one in near if one > 0]
    blame = tuple(one for one in (image, patch) if one is not None)
    yield Finding(f"{count} tokens are just over {tiles}·{TILE} = {tiles * TILE}", blame, (note,), tuple(changes))


def flash(facts: Facts) -> Iterator[Finding]:
    """Heads that flash attention does not take: another, slower kernel is chosen, or the head is padded."""
    for network in facts.networks:
        each = head_width(network)
        if not each or (each <= FLASH_MOST and each % ALIGNED == 0):
            continue
        why = f"at most {FLASH_MOST}" if each > FLASH_MOST else f"multiples of {ALIGNED}"
        blame = tuple(network[one] for one in ("dim_head", "heads", "dim") if one in network)
        note = f"it takes {why}; another kernel is used, or the head is padded"
        changes = tuple(aligned(network, "dim_head"))
        yield Finding(f"a head of width {each} does not fit flash attention", blame, (note,), changes)
