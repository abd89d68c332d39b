"""Finds another patch size or another number of input channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vit_trace.base.trace import Value
from vit_trace.weights.causes import Misfit, MisfitKind, finder_by_role, on_axes, side_text
from vit_trace.weights.compare import Item
from vit_trace.weights.describe import Description

PATCH = MisfitKind(
    "checkpoint-patch",
    """
    The patch size of the first layer differs. Its weights can be used only after resampling.
    """,
    axes=frozenset("patch patch_dim positions".split()),
)
CHANNELS = MisfitKind(
    "checkpoint-channels",
    """
    The number of input channels differs.
    """,
    axes=frozenset("channels patch_dim".split()),
)


@finder_by_role(30)
def find_patch(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    found = on_axes(items, "patch", "patch_dim")
    if not found or not ours.patch or not theirs.patch or ours.patch == theirs.patch:
        return
    roles: dict[str, Value] = {"patch": list(ours.patch)}
    if ours.image == theirs.image:
        found = (*found, *on_axes(items, "positions"))
    elif ours.image is not None and not on_axes(items, "positions"):
        roles["image"] = list(ours.image)
    what = f"checkpoint was made with patch {side_text(ours.patch)}, this model has patch {side_text(theirs.patch)}"
    yield PATCH(what, found, roles)


@finder_by_role(31)
def find_channels(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    found = on_axes(items, "channels", "patch_dim")
    if found and ours.channels != theirs.channels and ours.channels is not None:
        message = f"checkpoint takes images of {ours.channels} channels, this model of {theirs.channels}"
        yield CHANNELS(message, found, {"channels": ours.channels})
