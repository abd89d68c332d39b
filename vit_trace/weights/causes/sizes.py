"""Finds another number of layers and another width: of the tokens, inside attention, inside the feed-forward."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from vit_trace.base.trace import Value
from vit_trace.weights.causes import NUMBER, Misfit, MisfitKind, finder_by_name, finder_by_role, on_axes
from vit_trace.weights.compare import Comparison, Item
from vit_trace.weights.describe import Description, likely_heads
from vit_trace.weights.layouts import block_of

DEPTH = MisfitKind("checkpoint-depth", "The two have different numbers of layers.")
WIDTH = MisfitKind("checkpoint-width", "The embedding dimension differs, so no layer fits.", "dim inner mlp_dim")
INNER = MisfitKind("checkpoint-inner", "Inside attention, heads · dim_head differs.", "inner")
MLP = MisfitKind("checkpoint-mlp", "The hidden dimension of the feed-forward differs.", "mlp_dim")


@finder_by_role(10)
def find_depth(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    if ours.depth != theirs.depth:
        least = min(ours.depth, theirs.depth)
        blocks = tuple(item for item in items if (block := block_of(item.role)) is not None and block >= least)
        message = f"checkpoint has {ours.depth} layers, this model has {theirs.depth}"
        yield Misfit(DEPTH, message, blocks, {"depth": ours.depth})


@finder_by_name(10)
def find_layers(items: Sequence[Item], found: Comparison) -> Iterator[Misfit]:
    """Numbered layers that only one side has, after those that both have."""
    mine, others = _layer_numbers(found.left), _layer_numbers(found.right)
    for container in sorted(mine.keys() & others.keys()):
        have, want = 1 + max(mine[container]), 1 + max(others[container])
        least = min(have, want)
        if have == want or not mine[container] & others[container]:
            continue
        if inside := tuple(item for item in items if _layer_in(item, found, container) >= least):
            message = f"checkpoint has {have} layers in {container.rstrip('.')}, this model has {want}"
            yield Misfit(DEPTH, message, inside)


def _layer_numbers(names: Sequence[str]) -> dict[str, set[int]]:
    """The numbers after each container: {"layers.2.blocks.": {0, 1, 2}}."""
    counts: dict[str, set[int]] = {}
    for name in names:
        for number in NUMBER.finditer(name):
            counts.setdefault(name[: number.start()], set()).add(int(number[0][:9]))
    return counts


def _layer_in(item: Item, found: Comparison, container: str) -> int:
    """The number of the item's layer in a container; -1 outside of it."""
    name = item.theirs.removeprefix(found.add) if item.theirs else item.ours.removeprefix(found.strip)
    number = re.match(r"\d+", name[len(container) :]) if name.startswith(container) else None
    return int(number[0][:9]) if number else -1


@finder_by_role(20)
def find_width(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    if ours.dim == theirs.dim:
        return
    roles: dict[str, Value] = {"dim": ours.dim}
    axes, also = {"dim"}, []
    if ours.inner == ours.dim and theirs.inner == theirs.dim:
        axes.add("inner")
        roles["heads"] = ours.heads or likely_heads(ours.dim, ours.inner)
    elif ours.inner != theirs.inner:
        axes.add("inner")
        roles["inner"] = ours.inner
        also.append(f"attention {ours.inner} wide against {theirs.inner}")
    if ours.mlp_dim and theirs.mlp_dim and ours.mlp_dim != theirs.mlp_dim:
        axes.add("mlp_dim")
        roles["mlp_dim"] = ours.mlp_dim
        also.append(f"feed-forward {ours.mlp_dim} against {theirs.mlp_dim}")
    message = f"checkpoint is {ours.dim} wide, this model is {theirs.dim}"
    yield Misfit(WIDTH, message, on_axes(items, *axes), roles, notes=tuple(also))


@finder_by_role(21)
def find_inside(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    """Another width inside attention or inside the feed-forward."""
    widths = (
        (INNER, "inner", "attention is {} wide (heads · dim_head)", ours.inner, theirs.inner),
        (MLP, "mlp_dim", "feed-forward is {} wide", ours.mlp_dim, theirs.mlp_dim),
    )
    for kind, axis, words, have, want in widths:
        if have and want and have != want and (found := on_axes(items, axis)):
            yield Misfit(kind, f"checkpoint's {words.format(have)}, this model's is {want}", found, {axis: have})


@finder_by_name(60)
def find_ratio(items: Sequence[Item], found: Comparison) -> Iterator[Misfit]:
    """Many tensors that differ by one ratio: another width."""
    both = tuple(dict.fromkeys(item for item in items if item.have and item.want))
    ratios: dict[Fraction, list[tuple[Item, int, int]]] = {}
    for item in both:
        have, want = item.have or (), item.want or ()
        for a, b in zip(have, want, strict=True) if len(have) == len(want) else ():
            if a != b and min(a, b) > 0:
                ratios.setdefault(Fraction(a, b), []).append((item, a, b))
    group = max(ratios.values(), key=len, default=[])
    if len(group) >= 4:
        first, a, b = group[0]
        message = f"checkpoint is of another width: {first.name} has {a} where this model has {b}"
        yield Misfit(WIDTH, message, both, notes=(f"{len(both)} tensors differ",))
