"""Finds silent mistakes: a forward that runs, but whose result is wrong. Needs no torch.

Each file of this package registers one mistake with `@silent_mistake`; no list names the files. A check warns only
where the sizes leave no other reading, so that a sound model gets no warning. Other rooms use `silent_mistakes` and
`mistakes`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from inspect import cleandoc
from typing import TypeVar

from vit_trace.base.modules import import_all
from vit_trace.base.trace import Diagnostic, Severity, Source, Stage, Trace
from vit_trace.codes.registry import register
from vit_trace.diagnose.changes.records import Fix
from vit_trace.diagnose.trials import Case

RESHAPES = {"flatten", "reshape", "view", "rearrange", "Rearrange", "unflatten", "Flatten"}
"""Operations that merge or split axes and leave the order of the elements."""

NOT_LOOKED_FOR = "not-looked-for"

OFFERED = 2
"""Remedies shown for one mistake; further ones that work are left out."""


@dataclass(frozen=True)
class Mistake:
    """What a check found: a headline, the place, the numbers, and changes that might help.

    Each of `remedies` is tried before it is offered.
    """

    message: str
    source: Source | None = None
    notes: tuple[str, ...] = ()
    remedies: tuple[Fix, ...] = ()
    severity: Severity = "warning"


MakeCase = Callable[[], Case]
"""Makes a case to try changes in; called only where a check needs one, as it builds the model again."""

Finder = Callable[[Trace, MakeCase], Iterator[Mistake]]

Found = TypeVar("Found")

_FINDERS: dict[str, Finder] = {}


def silent_mistake(code: str) -> Callable[[Finder], Finder]:
    """Register a function that finds a mistake; its docstring says what the code means (`vit-trace explain CODE`)."""

    def registered(find: Finder) -> Finder:
        register("silent", code, cleandoc(find.__doc__ or ""))
        _FINDERS[code] = find
        return find

    return registered


def silent_mistakes(trace: Trace, case: MakeCase) -> tuple[Diagnostic, ...]:
    """One warning for each mistake in a trace that ran, ordered by code; a note where a search itself failed."""
    import_all(__name__)
    return tuple(one for code in sorted(_FINDERS) for one in _found(code, trace, case))


def _found(code: str, trace: Trace, case: MakeCase) -> tuple[Diagnostic, ...]:
    try:
        return tuple(_warning(code, one, case) for one in _FINDERS[code](trace, case))
    except Exception as error:  # the others are still worth saying
        lost = f"vit-trace could not look for {code} ({type(error).__name__}: {error}): please report this"
        return (Diagnostic(NOT_LOOKED_FOR, "note", lost),)


def mistakes(trace: Trace, code: str) -> Iterator[Mistake]:
    """The mistakes of one code in a trace that ran, for a check that tries nothing."""
    import_all(__name__)

    def no_case() -> Case:
        raise LookupError(f"{code} tries changes")

    return _FINDERS[code](trace, no_case)


def once_a_line(found: Iterable[Found], stage: Callable[[Found], Stage]) -> Iterator[Found]:
    """The first of what was found on each line: equal blocks run the same lines."""
    seen: set[object] = set()
    for one in found:
        here = stage(one)
        place = (here.source.file, here.source.line) if here.source else here.name
        if place not in seen:
            seen.add(place)
            yield one


def _warning(code: str, found: Mistake, case: MakeCase) -> Diagnostic:
    """The mistake as a diagnostic, with the first remedies that were tried and run."""
    if not found.remedies:
        return Diagnostic(code, found.severity, found.message, found.source, found.notes)
    trials = case()
    worked = [one for change in found.remedies if (one := trials.attempt(change)) is not None]
    help = tuple(one.help() for one in worked[:OFFERED])
    notes = (*found.notes, *trials.shortfall())
    return Diagnostic(code, found.severity, found.message, found.source, notes, help)
