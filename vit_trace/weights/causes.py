"""What does not agree -> why: one cause for all the tensors that it explains. No torch.

A cause has a headline, the items it explains, and the values of the target that would take it away; none of them is a
remedy before `fit.py` has tried it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from msgspec import Struct

from vit_trace.base.trace import Severity, Value
from vit_trace.base.words import shape_text
from vit_trace.weights.compare import Comparison, Item
from vit_trace.weights.describe import Description, likely_heads
from vit_trace.weights.layouts import part_of


class Cause(Struct, frozen=True):
    """`roles` gives values to set by what they are (image, dim, …); `help` is what can be done to the checkpoint."""

    code: str
    message: str
    items: tuple[Item, ...] = ()
    roles: dict[str, Value] = {}
    help: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    severity: Severity = "error"


HEADS = ("head", "head_dist")
TOKENS = {"cls": "class token", "dist": "distillation token", "registers": "register tokens"}
ABSENT: tuple[str, ...] = ("pooler", "pre_logits", "head_norm", "proj")


def by_size(text: tuple[int, int] | None) -> str:
    return f"{text[0]}×{text[1]}" if text else "another size"


def patch_words(patch: tuple[int, int]) -> str:
    return str(patch[0]) if patch[0] == patch[1] else f"{patch[0]}×{patch[1]}"


def causes(found: Comparison, ours: Description, theirs: Description) -> Iterator[Cause]:
    """The causes of all that differs between two Vision Transformers."""
    left = list(found.items)
    known: set[str] = set()
    for find in (depth, width, inner, mlp, patch, channels, tokens, places, image, table, classes, head, pool):
        for cause in find(left, ours, theirs):
            yield cause
            known |= KNOWN.get(cause.code, set())
            explained = set(cause.items)
            left = [item for item in left if item not in explained or set(item.axes) - known]
    yield from remaining([item for item in left if not item.axes or set(item.axes) - known])


KNOWN = {
    "checkpoint-width": {"dim", "inner", "mlp_dim"},
    "checkpoint-mlp": {"mlp_dim"},
    "checkpoint-inner": {"inner"},
    "checkpoint-patch": {"patch", "patch_dim", "positions"},
    "checkpoint-channels": {"channels", "patch_dim"},
    "checkpoint-tokens": {"positions", "registers"},
    "checkpoint-image-size": {"positions", "window"},
    "checkpoint-classes": {"classes"},
}
"""Axes that a cause explains; a tensor that differs on another one too is not done with."""


def differing(items: Sequence[Item], *axes: str) -> tuple[Item, ...]:
    return tuple(item for item in items if set(item.axes) & set(axes))


def depth(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    if ours.depth != theirs.depth:
        least = min(ours.depth, theirs.depth)
        blocks = tuple(
            item for item in items if item.role.startswith("block.") and int(item.role.split(".")[1]) >= least
        )
        message = f"checkpoint has {ours.depth} layers, this model has {theirs.depth}"
        yield Cause("checkpoint-depth", message, blocks, {"depth": ours.depth})


def width(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
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
    yield Cause("checkpoint-width", message, differing(items, *axes), roles, notes=tuple(also))


def inner(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    if ours.inner != theirs.inner and (found := differing(items, "inner")):
        message = f"checkpoint's attention is {ours.inner} wide (heads · dim_head), this model's is {theirs.inner}"
        yield Cause("checkpoint-inner", message, found, {"inner": ours.inner})


def mlp(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    if ours.mlp_dim and theirs.mlp_dim and ours.mlp_dim != theirs.mlp_dim and (found := differing(items, "mlp_dim")):
        message = f"checkpoint's feed-forward is {ours.mlp_dim} wide, this model's is {theirs.mlp_dim}"
        yield Cause("checkpoint-mlp", message, found, {"mlp_dim": ours.mlp_dim})


def patch(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    found = differing(items, "patch", "patch_dim")
    if not found or not ours.patch or not theirs.patch or ours.patch == theirs.patch:
        return
    roles: dict[str, Value] = {"patch": list(ours.patch)}
    if ours.image == theirs.image:
        found = (*found, *differing(items, "positions"))
    elif ours.image is not None and not differing(items, "positions"):
        roles["image"] = list(ours.image)
    what = f"checkpoint was made with patch {patch_words(ours.patch)}, this model has patch {patch_words(theirs.patch)}"
    yield Cause("checkpoint-patch", what, found, roles)


def channels(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    found = differing(items, "channels", "patch_dim")
    if found and ours.channels != theirs.channels and ours.channels is not None:
        message = f"checkpoint takes images of {ours.channels} channels, this model of {theirs.channels}"
        yield Cause("checkpoint-channels", message, found, {"channels": ours.channels})


def tokens(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    """Class, distillation or register tokens that only one of them has, or another count of them."""
    own = tuple(item for item in items if item.role in TOKENS)
    parts, roles = [], {}
    if ours.registers != theirs.registers:
        parts.append(f"{ours.registers or 'no'} register tokens, this model {theirs.registers or 'none'}")
        roles["registers"] = ours.registers
    for name, has, needs in (("class", ours.cls, theirs.cls), ("distillation", ours.dist, theirs.dist)):
        if has != needs:
            parts.append(f"{'a' if has else 'no'} {name} token, this model {'one' if needs else 'none'}")
    counted = tuple(item for item in own if "registers" in item.axes or item.have is None or item.want is None)
    if not parts or not counted:
        return
    found = counted
    if ours.grid == theirs.grid:
        found = (*found, *differing(items, "positions"))
    if ours.dist != theirs.dist:
        found = (*found, *(item for item in items if part_of(item.role).startswith("head_dist")))
    yield Cause("checkpoint-tokens", f"checkpoint has {'; '.join(parts)}", found, dict(roles))


def places(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    """The same patches, but a position for the class token in one of the two only."""
    found = differing(items, "positions")
    if found and ours.grid is not None and ours.grid == theirs.grid and ours.extra != theirs.extra:
        rows, other = ours.extra or "none", theirs.extra or "none"
        more = f"{rows} besides those of the {by_size(ours.grid)} patches, this model {other}"
        yield Cause("checkpoint-tokens", f"checkpoint's position embedding has {more}", found)


def image(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    found = differing(items, "positions")
    if not found or ours.positions is None or theirs.positions is None:
        return
    name = found[0].ours
    if ours.image is None or ours.patch is None or theirs.image is None:
        message = f"checkpoint has {ours.positions} positions ({name}), this model has {theirs.positions}"
        yield Cause("checkpoint-image-size", message, found)
        return
    message = (
        f"checkpoint was made for {by_size(ours.image)} with patch {patch_words(ours.patch)} ({ours.positions} "
        f"positions), this model has {by_size(theirs.image)} ({theirs.positions})"
    )
    help: tuple[str, ...] = ()
    if ours.grid and theirs.grid and ours.grid != theirs.grid:
        first = "row" if ours.extra == 1 else f"{ours.extra} rows"
        extra = f", its first {first} kept" if ours.extra else ""
        if theirs.extra == ours.extra:
            help = (f"interpolate {name} {by_size(ours.grid)} → {by_size(theirs.grid)}{extra}",)
    yield Cause("checkpoint-image-size", message, found, {"image": list(ours.image)}, help)


def table(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    """BEiT's tables of relative positions: (2·grid - 1)² rows and 3 for the class token, by layer."""
    found = differing(items, "window")
    if not found or ours.patch is None or found[0].have is None or found[0].want is None:
        return
    have, want = (window_side(rows - 3) for rows in (found[0].have[0], found[0].want[0]))
    if have and want:
        height, width = have * ours.patch[0], have * ours.patch[1]
        message = (
            f"checkpoint was made for {height}×{width} with patch {patch_words(ours.patch)} (relative positions on "
            f"{have}×{have} patches), this model has {want}×{want} patches"
        )
        yield Cause("checkpoint-image-size", message, found, {"image": [height, width]})


def classes(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    found = differing(items, "classes")
    if found:
        yield other_classes(found, ours.classes, theirs.classes)


def other_classes(found: tuple[Item, ...], have: int | None, want: int | None) -> Cause:
    """A head of another class count: all else can be used, as it is for fine-tuning, so only a warning."""
    message = f"checkpoint's head has {have} classes, this model's has {want}"
    drop = f"to train a new head: drop {names_of(found, ours=True)} and load with strict=False"
    roles: dict[str, Value] = {"classes": have}
    return Cause("checkpoint-classes", message, found, roles, (drop,), severity="warning")


def head(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    """A head that only one of them has."""
    found = tuple(item for item in items if part_of(item.role).split(".")[0] in HEADS and not item.axes)
    missing = tuple(item for item in found if item.have is None)
    if missing:
        message = f"checkpoint has no head: {names_of(missing)} of this model will start at random"
        yield Cause("checkpoint-no-head", message, missing, help=("load with strict=False",), severity="warning")
    unused = tuple(item for item in found if item.want is None)
    if unused:
        message = f"this model has no place for the checkpoint's head: {names_of(unused, ours=True)}"
        help = ("drop it, or load with strict=False",)
        yield Cause("checkpoint-no-head", message, unused, help=help, severity="warning")


def pool(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Cause]:
    """The last norm before pooling (of the class token) or after it (of the mean): timm names them differently."""
    last = tuple(item for item in items if part_of(item.role) in ("norm", "fc_norm"))
    have = {part_of(item.role) for item in last if item.want is None}
    want = {part_of(item.role) for item in last if item.have is None}
    if have and want and have != want:
        kinds = {"fc_norm": "the mean of the tokens (fc_norm)", "norm": "one token (norm)"}
        message = f"checkpoint reads out {kinds[min(have)]}, this model {kinds[min(want)]}"
        yield Cause("checkpoint-pool", message, last, {"pool": "avg" if have == {"fc_norm"} else "token"})


# -- any model -----------------------------------------------------------------------------------------------------

HEAD_NAME = re.compile(r"(^|\.)(heads?|classifier|fc|linear_head|mlp_head)(\.(fc|head|l|proj|\d+))?\.(weight|bias)$")
WINDOW_NAME = re.compile(r"relative_position|rel_pos|attention_bias(es|_idxs)$|attn_mask|relative_coords")
POSITION_NAME = re.compile(r"(^|[._])(?<!relative_)pos(ition)?(al)?_?(embed|emb|bias)")
NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def other_causes(found: Comparison) -> Iterator[Cause]:
    """The causes where at least one side is no plain Vision Transformer: told by names and numbers alone."""
    left = list(found.items)
    for cause in layers(left, found):
        yield cause
        left = [item for item in left if item not in set(cause.items)]
    for find in (head_by_name, window, positions, widths):
        for cause in find(left):
            yield cause
            left = [item for item in left if item not in set(cause.items)]
    yield from remaining(left)


def layers(items: Sequence[Item], found: Comparison) -> Iterator[Cause]:
    """Numbered layers that only one side has, behind those that both have."""
    mine, others = numbered(found.left), numbered(found.right)
    for container in sorted(mine.keys() & others.keys()):
        have, want = 1 + max(mine[container]), 1 + max(others[container])
        least = min(have, want)
        if have == want or not mine[container] & others[container]:
            continue
        inside = tuple(item for item in items if layer_in(item, found, container) >= least)
        if inside:
            message = f"checkpoint has {have} layers in {container.rstrip('.')}, this model has {want}"
            yield Cause("checkpoint-depth", message, inside)


def numbered(names: Sequence[str]) -> dict[str, set[int]]:
    """The numbers behind each container: {"layers.2.blocks.": {0, 1, 2}}."""
    counts: dict[str, set[int]] = {}
    for name in names:
        for number in NUMBER.finditer(name):
            counts.setdefault(name[: number.start()], set()).add(int(number[0][:9]))
    return counts


def layer_in(item: Item, found: Comparison, container: str) -> int:
    """The number of the item's layer in a container; -1 outside of it."""
    name = item.theirs.removeprefix(found.add) if item.theirs else item.ours.removeprefix(found.strip)
    number = re.match(r"\d+", name[len(container) :]) if name.startswith(container) else None
    return int(number[0][:9]) if number else -1


def head_by_name(items: Sequence[Item]) -> Iterator[Cause]:
    found = tuple(item for item in items if HEAD_NAME.search(item.name))
    sized = tuple(i for i in found if i.have and i.want and i.have[1:] == i.want[1:] and i.have[0] != i.want[0])
    if sized and sized[0].have and sized[0].want:
        yield other_classes(sized, sized[0].have[0], sized[0].want[0])
    for there, words in (
        (True, "checkpoint has no head"),
        (False, "this model has no place for the checkpoint's head"),
    ):
        alone = tuple(item for item in found if (item.have is None) == there and (item.want is None) != there)
        if alone:
            help = ("load with strict=False",)
            yield Cause("checkpoint-no-head", f"{words}: {names_of(alone)}", alone, help=help, severity="warning")


def window(items: Sequence[Item]) -> Iterator[Cause]:
    """Tables of relative positions of another window: (2·window - 1)² rows."""
    found = tuple(item for item in items if WINDOW_NAME.search(item.name) and resized(item))
    if not found:
        return
    first = found[0]
    assert first.have is not None and first.want is not None
    text = f"{shape_text(first.have)} against {shape_text(first.want)}"
    sides = [side for shape in (first.have, first.want) if (side := window_side(shape[0]))]
    if len(sides) == 2:
        text = f"window {sides[0]} against {sides[1]} in this model"
    message = f"checkpoint's relative positions are for another window or image: {text}"
    yield Cause("checkpoint-window", message, found, {"window": sides[0]} if len(sides) == 2 else {})


def resized(item: Item) -> bool:
    """Whether the first axis, that of positions, has another size."""
    return bool(item.have and item.want and item.have[0] != item.want[0])


def window_side(rows: int) -> int | None:
    return next((side for side in range(2, 65) if (2 * side - 1) ** 2 == rows), None)


def positions(items: Sequence[Item]) -> Iterator[Cause]:
    found = tuple(item for item in items if POSITION_NAME.search(item.name) and item.have and item.want)
    if found:
        first = found[0]
        assert first.have is not None and first.want is not None
        if sum(a != b for a, b in zip(first.have, first.want, strict=False)) == 1:
            what = f"{first.name} is {shape_text(first.have)}, in this model {shape_text(first.want)}"
            yield Cause("checkpoint-image-size", f"checkpoint was made for another image size: {what}", found)


def widths(items: Sequence[Item]) -> Iterator[Cause]:
    """Many tensors that differ by one ratio: another width."""
    ratios: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        if item.have and item.want and len(item.have) == len(item.want):
            for a, b in zip(item.have, item.want, strict=True):
                if a != b and min(a, b) > 0:
                    ratio = Fraction(a, b)
                    ratios.setdefault((ratio.numerator, ratio.denominator), []).append(item)
    for found in sorted(ratios.values(), key=len, reverse=True)[:1]:
        if len(found) >= 4:
            one = found[0]
            assert one.have and one.want
            pair = next((a, b) for a, b in zip(one.have, one.want, strict=True) if a != b)
            each = tuple(dict.fromkeys(item for item in items if item.have and item.want))
            message = f"checkpoint is of another width: {one.name} has {pair[0]} where this model has {pair[1]}"
            yield Cause("checkpoint-width", message, each, notes=(f"{len(each)} tensors differ",))


# -- what remains --------------------------------------------------------------------------------------------------


def remaining(items: Sequence[Item]) -> Iterator[Cause]:
    """Missing, left over, or of another shape for no reason that is known: counted, with examples."""
    missing = tuple(item for item in items if item.have is None)
    extra = tuple(item for item in items if item.want is None)
    other = tuple(item for item in items if item.have is not None and item.want is not None)
    if missing:
        message = f"checkpoint lacks {counted(missing)} of this model: {names_of(missing)}"
        yield Cause("checkpoint-missing", message, missing)
    harmless = tuple(item for item in extra if part_of(item.role).split(".")[0] in ABSENT)
    for group, severity in ((tuple(i for i in extra if i not in set(harmless)), "error"), (harmless, "warning")):
        if group:
            message = f"this model has no place for {counted(group)} of the checkpoint: {names_of(group, ours=True)}"
            yield Cause("checkpoint-unexpected", message, group, severity=severity)  # type: ignore[arg-type]
    if other:
        first = other[0]
        assert first.have is not None and first.want is not None
        shapes = f"{first.ours} is {shape_text(first.have)}, in this model {shape_text(first.want)}"
        more = f", and {len(other) - 1} more" if len(other) > 1 else ""
        yield Cause("checkpoint-shape", f"{counted(other)} differ in shape: {shapes}{more}", other)


def counted(items: Sequence[Item]) -> str:
    count = len({item.name for item in items})
    return f"{count} tensor{'s' * (count != 1)}"


def names_of(items: Sequence[Item], ours: bool = False, most: int = 3) -> str:
    """The names, layers that differ only in their number once: blocks.0…11.ls1.gamma."""
    groups: dict[str, list[int]] = {}
    for item in items:
        name = (item.ours if ours else item.name) or item.name
        number = NUMBER.search(name)
        key = f"{name[: number.start()]}#{name[number.end() :]}" if number else name
        groups.setdefault(key, []).append(int(number[0]) if number else 0)
    texts = []
    for key, numbers in groups.items():
        low, high = min(numbers), max(numbers)
        texts.append(key.replace("#", str(low) if low == high else f"{low}…{high}", 1))
    shown = ", ".join(texts[:most])
    return f"{shown} and {len(texts) - most} more" if len(texts) > most else shown
