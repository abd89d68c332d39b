"""Registers why a checkpoint does not fit a model: one misfit for all the tensors that it explains. No torch.

Each file of this package registers kinds of misfit (`MisfitKind`: code, meaning, severity) and what finds them
(`@finder_by_role` in two Vision Transformers, `@finder_by_name` in any two models); no list names the files. Other
files use `misfits_by_role`, `misfits_by_name` and `Misfit`; `fit.py` tries the values that a misfit would set.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import TypeVar

from msgspec import Struct

from vit_trace.base.modules import import_all
from vit_trace.base.trace import Severity, Value
from vit_trace.codes.registry import register
from vit_trace.weights.compare import Comparison, Item
from vit_trace.weights.describe import Description

NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
"""The number of a layer in a name."""


class Misfit(Struct, frozen=True):
    """`roles` are values to set, by what they are (image, dim, …); `help` is what to do to the checkpoint."""

    code: str
    message: str
    items: tuple[Item, ...] = ()
    roles: dict[str, Value] = {}
    help: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    severity: Severity = "error"
    axes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class MisfitKind:
    """A code with its meaning (`vit-trace explain CODE`); calling it makes a Misfit.

    `axes` are those that such a misfit explains: a tensor that differs on another one too needs a further misfit.
    """

    code: str
    meaning: str
    axes: str = ""
    severity: Severity = "error"

    def __post_init__(self) -> None:
        register("checkpoint", self.code, cleandoc(self.meaning))

    def __call__(
        self,
        message: str,
        items: tuple[Item, ...] = (),
        roles: dict[str, Value] | None = None,
        help: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Misfit:
        return Misfit(self.code, message, items, roles or {}, help, notes, self.severity, frozenset(self.axes.split()))


RoleFinder = Callable[[Sequence[Item], Description, Description], Iterator[Misfit]]
NameFinder = Callable[[Sequence[Item], Comparison], Iterator[Misfit]]
ByRole = TypeVar("ByRole", bound=RoleFinder)
ByName = TypeVar("ByName", bound=NameFinder)
_BY_ROLE: dict[RoleFinder, int] = {}
_BY_NAME: dict[NameFinder, int] = {}

LAST = 100
"""Rank of the finders that report what has no known cause."""


def finder_by_role(rank: int) -> Callable[[ByRole], ByRole]:
    """Register a finder for two Vision Transformers in known layouts; it knows what each axis is.

    Finders run in the order of their ranks; each sees the tensors that those before it did not explain.
    """

    def registered(find: ByRole) -> ByRole:
        _BY_ROLE[find] = rank
        return find

    return registered


def finder_by_name(rank: int) -> Callable[[ByName], ByName]:
    """Register a finder for any two models; it knows names and shapes only. Ranks as in `finder_by_role`."""

    def registered(find: ByName) -> ByName:
        _BY_NAME[find] = rank
        return find

    return registered


def misfits_by_role(found: Comparison, ours: Description, theirs: Description) -> Iterator[Misfit]:
    """Why two Vision Transformers differ."""
    import_all(__name__)
    return _explain(found.items, _BY_ROLE, ours, theirs)


def misfits_by_name(found: Comparison) -> Iterator[Misfit]:
    """Why two models differ where at least one is in no known layout."""
    import_all(__name__)
    return _explain(found.items, _BY_NAME, found)


def _explain(
    items: Sequence[Item], finders: Mapping[Callable[..., Iterator[Misfit]], int], *sides: object
) -> Iterator[Misfit]:
    left = list(items)
    known: set[str] = set()
    for find in sorted(finders, key=finders.__getitem__):
        if finders[find] == LAST:
            left = [item for item in left if not item.axes or set(item.axes) - known]
        for misfit in find(left, *sides):
            yield misfit
            known |= misfit.axes
            left = [item for item in left if item not in set(misfit.items) or set(item.axes) - known]


def on_axes(items: Sequence[Item], *axes: str) -> tuple[Item, ...]:
    """The tensors that differ on one of these axes."""
    return tuple(item for item in items if set(item.axes) & set(axes))


def names_of(items: Sequence[Item], ours: bool = False) -> str:
    """The first three names, layers that differ only in their number once: blocks.0…11.ls1.gamma."""
    groups: dict[str, list[int]] = {}
    for item in items:
        name = (item.ours if ours else item.name) or item.name
        number = NUMBER.search(name)
        groups.setdefault(NUMBER.sub("#", name, count=1), []).append(int(number[0]) if number else 0)
    texts = []
    for key, numbers in groups.items():
        low, high = min(numbers), max(numbers)
        texts.append(key.replace("#", str(low) if low == high else f"{low}…{high}", 1))
    shown = ", ".join(texts[:3])
    return f"{shown} and {len(texts) - 3} more" if len(texts) > 3 else shown
