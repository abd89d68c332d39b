"""Finds another head: of other classes, on one side only, or after other pooling."""

import re
from collections.abc import Iterator, Sequence

from vit_trace.weights.causes import Misfit, MisfitKind, finder_by_name, finder_by_role, names_of, on_axes
from vit_trace.weights.compare import Comparison, Item
from vit_trace.weights.describe import Description
from vit_trace.weights.layouts import part_of

CLASSES = MisfitKind(
    "checkpoint-classes",
    """
    The head has another number of classes. All other tensors can be used, as in fine-tuning: so it is a warning.
    load_state_dict still fails, with strict=False too: drop the head's tensors first. --strict makes it an error.
    """,
    "classes",
    severity="warning",
)
NO_HEAD = MisfitKind(
    "checkpoint-no-head",
    "Only one of the two has a head. All other tensors can be used: so it is a warning.",
    severity="warning",
)
POOL = MisfitKind(
    "checkpoint-pool",
    'timm names the last norm "norm" where it pools by a token, "fc_norm" where it pools by the mean. The two differ.',
)

HEADS = ("head", "head_dist")
HEAD_NAME = re.compile(r"(^|\.)(heads?|classifier|fc|linear_head|mlp_head)(\.(fc|head|l|proj|\d+))?\.(weight|bias)$")


@finder_by_role(60)
def find_classes(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    if found := on_axes(items, "classes"):
        yield _class_misfit(found, ours.classes, theirs.classes)


def _class_misfit(found: tuple[Item, ...], have: int | None, want: int | None) -> Misfit:
    message = f"checkpoint's head has {have} classes, this model's has {want}"
    drop = f"to train a new head: drop {names_of(found, ours=True)} and load with strict=False"
    return Misfit(CLASSES, message, found, {"classes": have}, (drop,))


@finder_by_role(61)
def head_on_one_side(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    """A head that only one of them has."""
    found = tuple(item for item in items if part_of(item.role).split(".")[0] in HEADS and not item.axes)
    if missing := tuple(item for item in found if item.have is None):
        message = f"checkpoint has no head: {names_of(missing)} of this model will start at random"
        yield Misfit(NO_HEAD, message, missing, help=("load with strict=False",))
    if unused := tuple(item for item in found if item.want is None):
        message = f"this model has no place for the checkpoint's head: {names_of(unused, ours=True)}"
        yield Misfit(NO_HEAD, message, unused, help=("drop it, or load with strict=False",))


@finder_by_role(62)
def find_pool(items: Sequence[Item], ours: Description, theirs: Description) -> Iterator[Misfit]:
    """The last norm before pooling (of the class token) or after it (of the mean): timm names them differently."""
    last = tuple(item for item in items if part_of(item.role) in ("norm", "fc_norm"))
    have = {part_of(item.role) for item in last if item.want is None}
    want = {part_of(item.role) for item in last if item.have is None}
    if have and want and have != want:
        kinds = {"fc_norm": "the mean of the tokens (fc_norm)", "norm": "one token (norm)"}
        message = f"checkpoint pools by {kinds[min(have)]}, this model by {kinds[min(want)]}"
        yield Misfit(POOL, message, last, {"pool": "avg" if have == {"fc_norm"} else "token"})


@finder_by_name(20)
def head_by_name(items: Sequence[Item], found: Comparison) -> Iterator[Misfit]:
    heads = tuple(item for item in items if HEAD_NAME.search(item.name))
    sized = tuple(i for i in heads if i.have and i.want and i.have[1:] == i.want[1:] and i.have[0] != i.want[0])
    if sized and sized[0].have and sized[0].want:
        yield _class_misfit(sized, sized[0].have[0], sized[0].want[0])
    sides = {True: "checkpoint has no head", False: "this model has no place for the checkpoint's head"}
    for there, words in sides.items():
        if alone := tuple(item for item in heads if (item.have is None) == there and (item.want is None) != there):
            yield Misfit(NO_HEAD, f"{words}: {names_of(alone)}", alone, help=("load with strict=False",))
