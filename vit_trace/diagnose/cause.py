"""Defines causes: kinds of mistakes with their codes, the finders that recognise them, and what one finder returns.

A file in `diagnose/causes/` declares a `CauseKind` and decorates its finder with `finds`; nothing else lists it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from inspect import cleandoc
from typing import TYPE_CHECKING, NamedTuple

from vit_trace.base.trace import Producer
from vit_trace.codes.registry import register
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.scene import Scene, Side

if TYPE_CHECKING:
    from vit_trace.diagnose.trials import Case

Changes = Callable[["Question"], Iterator[Fix]]
"""Works out changes that might help; none is offered before it was tried."""


@dataclass(frozen=True)
class CauseKind:
    """A mistake that has a code: what the code means, for `explain CODE`, and the changes to try, in their order.

    The `meaning` of a file's only kind is the file's docstring. Without `changes`, the usual ones are tried. With
    `edits_suffice`, no parameter is resized if an edit of the line works; without `any_batch`, a change may hold for
    one batch size alone. Making a kind registers its code.

    Raises:
        ValueError: the code has another meaning already.
    """

    code: str
    meaning: str | None
    changes: tuple[Changes, ...] = ()
    edits_suffice: bool = False
    any_batch: bool = True

    def __post_init__(self) -> None:
        register("failure", self.code, cleandoc(self.meaning or ""))


@dataclass(frozen=True)
class Cause:
    """Why a call failed: its kind, one sentence that makes sense alone, further numbers, the sizes that disagree.

    `rank` is how many axes the first operand should have had; `divisor` what a size should be a multiple of; `by_value`
    that values decide, not shapes: a run on the meta device goes well. `edits` change the failing line; the finder's
    registration sets them.
    """

    kind: CauseKind
    message: str
    notes: tuple[str, ...] = ()
    sides: tuple[Side, ...] = ()
    rank: int | None = None
    divisor: int | None = None
    by_value: bool = False
    edits: tuple[Changes, ...] = ()

    @property
    def code(self) -> str:
        return self.kind.code


@dataclass(frozen=True)
class Question:
    """What changes are worked out from: the failing call, its cause, who made the sizes, a model to try them on."""

    scene: Scene
    cause: Cause
    producers: Sequence[Producer]
    case: Case


Finder = Callable[[Scene], Cause | None]


class Turn(IntEnum):
    """When a finder is asked. Within one turn, at most one finder may answer for a failure."""

    FIRST = 0
    """Python or einops refuse the call before torch sees it."""
    EARLY = 1
    """A mistake that counts whatever the shapes are, such as two dtypes."""
    USUAL = 2
    """Shapes and numbers disagree."""
    LATE = 3
    """Holds only where nothing more precise was found."""
    LAST = 4
    """No cause is known."""


class Registered(NamedTuple):
    """A finder, when it is asked, the edits of the failing line that go with what it finds, tensors that it needs."""

    turn: Turn
    finder: Finder
    edits: tuple[Changes, ...] = ()
    tensors: int = 0


ANY_CALL = "*"

FINDERS: dict[str, list[Registered]] = {}
"""Failing call -> the finders that speak for it; ANY_CALL -> those that look at every failure."""


def finds(
    *calls: str, tensors: int = 0, turn: Turn = Turn.USUAL, edits: Sequence[Changes] = ()
) -> Callable[[Finder], Finder]:
    """Decorate a finder of calls with at least so many tensors, by the function's name; of all where none is named."""

    def registered(finder: Finder) -> Finder:
        for call in calls or (ANY_CALL,):
            FINDERS.setdefault(call, []).append(Registered(turn, finder, tuple(edits), tensors))
        return finder

    return registered


def found_causes(scene: Scene) -> Iterator[tuple[Turn, Cause]]:
    """Every cause that a finder sees in the failing call, by turn."""
    finders = [*FINDERS.get(scene.call, ()), *FINDERS.get(ANY_CALL, ())]
    for one in sorted(finders, key=lambda one: one.turn):
        found = one.finder(scene) if len(scene.operands) >= one.tensors else None
        if found is not None:
            yield one.turn, replace(found, edits=one.edits)
