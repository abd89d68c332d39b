"""Registers why a checkpoint does not fit a model: one misfit for all the tensors that it explains. No torch.

Each file of this package registers kinds of misfit (`MisfitKind`: code, meaning, severity) and what finds them
(`@finder_by_role` in two Vision Transformers, `@finder_by_name` in any two models); no list names the files. Other
files use `misfits_of` and `Misfit`; `fit.py` tries the values that a misfit would set.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import TypeVar

from msgspec import Struct

from vit_trace.base.modules import import_all
from vit_trace.base.trace import Severity, Value
from vit_trace.base.words import name_range
from vit_trace.codes.registry import register
from vit_trace.weights.compare import Comparison, Item
from vit_trace.weights.describe import Description

NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
"""The number of a layer in a name."""


@dataclass(frozen=True)
class MisfitKind:
    """A code with its meaning (`vit-trace explain CODE`).

    `axes` are those that such a misfit explains: a tensor that differs on another one too needs a further misfit.
    """

    code: str
    meaning: str
    axes: str = ""
    severity: Severity = "error"

    def __post_init__(self) -> None:
        register("checkpoint", self.code, cleandoc(self.meaning))


class Misfit(Struct, frozen=True):
    """`roles` are values to set, by what they are (image, dim, …); `help` is what to do to the checkpoint.

    `severity` is given where it is not that of the kind.
    """

    kind: MisfitKind
    message: str
    items: tuple[Item, ...] = ()
    roles: dict[str, Value] = {}
    help: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    severity: Severity | None = None


_Find = TypeVar("_Find", bound=Callable[..., Iterator[Misfit]])
_Finders = dict[Callable[..., Iterator[Misfit]], int]
_BY_ROLE: _Finders = {}
_BY_NAME: _Finders = {}

LAST = 100
"""Rank of the finders that report what has no known cause."""


def finder_by_role(rank: int) -> Callable[[_Find], _Find]:
    """Register a finder for two Vision Transformers in known layouts; it knows what each axis is.

    Finders run in the order of their ranks; each sees the tensors that those before it did not explain.
    """
    return lambda find: _registered(_BY_ROLE, rank, find)


def finder_by_name(rank: int) -> Callable[[_Find], _Find]:
    """Register a finder for any two models; it knows names and shapes only. Ranks as in `finder_by_role`."""
    return lambda find: _registered(_BY_NAME, rank, find)


def _registered(finders: _Finders, rank: int, find: _Find) -> _Find:
    finders[find] = rank
    return find


def misfits_of(found: Comparison, *sides: Description) -> Iterator[Misfit]:
    """Why two models differ; `sides` describe them where both are Vision Transformers in known layouts."""
    import_all(__name__)
    finders = _BY_ROLE if sides else _BY_NAME
    left = list(found.items)
    known: set[str] = set()
    for find in sorted(finders, key=finders.__getitem__):
        if finders[find] == LAST:
            left = [item for item in left if not item.axes or set(item.axes) - known]
        for misfit in find(left, *(sides or (found,))):
            yield misfit
            known |= set(misfit.kind.axes.split())
            left = [item for item in left if item not in set(misfit.items) or set(item.axes) - known]


def on_axes(items: Sequence[Item], *axes: str) -> tuple[Item, ...]:
    """The tensors that differ on one of these axes."""
    return tuple(item for item in items if set(item.axes) & set(axes))


def names_of(items: Sequence[Item], ours: bool = False) -> str:
    """The first three names, layers that differ only in their number once: blocks.0…11.ls1.gamma."""
    groups: dict[str, list[str]] = {}
    for item in items:
        name = (item.ours if ours else item.name) or item.name
        groups.setdefault(NUMBER.sub("#", name, count=1), []).append(name)
    layers = (sorted(names, key=lambda name: (len(name), name)) for names in groups.values())
    texts = [name_range(names[0], names[-1]) for names in layers]
    shown = ", ".join(texts[:3])
    return f"{shown} and {len(texts) - 3} more" if len(texts) > 3 else shown
