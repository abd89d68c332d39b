"""Finds another width: of the tokens, inside attention, inside the feed-forward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from vit_trace.base.trace import Value
from vit_trace.weights.causes import Misfit, MisfitKind, finder_by_name, finder_by_role, on_axes
from vit_trace.weights.compare import Comparison, Item
from vit_trace.weights.describe import Description, likely_heads

WIDTH = MisfitKind(
    "checkpoint-width",
    """
    The embedding dimension differs, so no layer fits.
    """,
    axes=frozenset("dim inner mlp_dim".split()),
)
INNER = MisfitKind(
    "checkpoint-inner",
    """
    Inside attention, heads · dim_head differs.
    """,
    axes=frozenset("inner".split()),
)
MLP = MisfitKind(
    "checkpoint-mlp",
    """
    The hidden dimension of the feed-forward differs.
    """,
    axes=frozenset("mlp_dim".split()),
)


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
    yield WIDTH(message, on_axes(items, *axes), roles, notes=tuple(also))


@finder_by_role(21)
def find_inner(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    if ours.inner != theirs.inner and (found := on_axes(items, "inner")):
        message = f"checkpoint's attention is {ours.inner} wide (heads · dim_head), this model's is {theirs.inner}"
        yield INNER(message, found, {"inner": ours.inner})


@finder_by_role(22)
def find_mlp(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    if ours.mlp_dim and theirs.mlp_dim and ours.mlp_dim != theirs.mlp_dim and (found := on_axes(items, "mlp_dim")):
        message = f"checkpoint's feed-forward is {ours.mlp_dim} wide, this model's is {theirs.mlp_dim}"
        yield MLP(message, found, {"mlp_dim": ours.mlp_dim})


@finder_by_name(60)
def find_ratio(items: Sequence[Item], found: Comparison) -> Iterator[Misfit]:
    """Many tensors that differ by one ratio: another width."""
    ratios: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        if item.have and item.want and len(item.have) == len(item.want):
            for a, b in zip(item.have, item.want, strict=True):
                if a != b and min(a, b) > 0:
                    ratio = Fraction(a, b)
                    ratios.setdefault((ratio.numerator, ratio.denominator), []).append(item)
    for group in sorted(ratios.values(), key=len, reverse=True)[:1]:
        if len(group) >= 4:
            one = group[0]
            assert one.have and one.want
            pair = next((a, b) for a, b in zip(one.have, one.want, strict=True) if a != b)
            each = tuple(dict.fromkeys(item for item in items if item.have and item.want))
            message = f"checkpoint is of another width: {one.name} has {pair[0]} where this model has {pair[1]}"
            yield WIDTH(message, each, notes=(f"{len(each)} tensors differ",))
