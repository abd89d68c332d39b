"""Explains why a constructor raised: the line, the numbers in it, and values that were tried and build.

Works on the exception's traceback and on a way to build again; knows no library.
"""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from msgspec.structs import replace
from torch import Tensor

from vit_trace.base.refused import Refused
from vit_trace.base.roles import role_named
from vit_trace.base.trace import Diagnostic, Trace, Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.causes.python_error import nearby_notes
from vit_trace.diagnose.changes.records import InputChange
from vit_trace.diagnose.grids import grids_of
from vit_trace.diagnose.scene import mentions
from vit_trace.diagnose.trials import case_of_target
from vit_trace.dims.allowed import near_numbers
from vit_trace.record.meta.tensors import shape_of
from vit_trace.record.raised.expressions import Link
from vit_trace.record.raised.mishaps import numbers
from vit_trace.record.raised.names import names_nearby, refused_by_python
from vit_trace.record.source import frames

if TYPE_CHECKING:
    from vit_trace.targets.target import Target

CODE = "build-failed"
TRIALS = 60
"""Builds tried after one that failed; no further value is tried then, and a note says so."""

SHALLOW, FAILURES = 4, 12
"""Values of one argument that may fail before any builds: in the first round over all arguments, and in both."""

OFFERED = 2
"""Arguments whose values are offered."""

ENOUGH = 3
"""Values offered for one argument; no further value is tried then."""

LINES = 3
"""Lines above the one that raised that are searched for its condition."""


def build_failure(
    error: BaseException, known: Diagnostic, build: Callable[[Mapping[str, int]], Target], setting: str = "--set "
) -> Diagnostic:
    """A diagnostic of the failed build with the numbers behind it and what would build.

    Args:
        error: what the constructor raised.
        known: the diagnostic so far: the spec, the line.
        build: builds with some hyperparameters set; raises where that does not work.
        setting: what stands before a hyperparameter and its value.
    """
    entries = frames.entries(error.__traceback__)
    links = [Link(frame, lasti, None) for frame, lasti in entries if not frames.is_machinery(frame.f_code.co_filename)]
    if not links:
        return known
    own = next((link for link in reversed(links) if frames.is_own(link.frame)), links[-1])
    met, text = _spoken(own)
    message, notes = known.message, list(known.notes)
    if refused_by_python(error, links[-1], own):
        found = names_nearby(error, links[-1], own)
        notes += nearby_notes(found)
        if found.get("near"):  # no number mends a name
            return replace(known, notes=tuple(notes))
    if named := _tensors(own, text):
        notes.append(named)
    said = {name: value for name, value in met.items() if mentions(str(error), name)}
    pair = _indivisible(said, text, known.notes) or _indivisible(met, text, known.notes)
    if pair is not None:
        (name, whole), (other, divisor) = pair
        message = f"{known.message}: {other} = {divisor} does not divide {name} = {whole}"
    elif met:
        notes.append(f"with {', '.join(f'{name} = {value}' for name, value in met.items())}")
    search = _BuildSearch(build, setting)
    tried = tuple(search.working(links, [pair[1][1], pair[0][1]] if pair else [*dict.fromkeys(met.values())]))
    notes += search.shortfall()
    return replace(known, message=message, notes=tuple(notes), help=(*known.help, *tried))


def _spoken(link: Link) -> tuple[dict[str, int], str]:
    """(whole numbers that the raising lines name, the lines)"""
    code = link.frame.f_code
    line = frames.positions(code)[link.lasti // 2][0] or code.co_firstlineno
    lines = range(max(code.co_firstlineno, line - LINES), line + 1)
    text = "".join(linecache.getline(code.co_filename, number) for number in lines)
    values = {name: value for name, value in numbers(link).items() if type(value) is int}
    return {name: value for name, value in values.items() if mentions(text, name)}, text


REMAINDER = re.compile(r"([A-Za-z_][\w.]*)\s*%\s*([A-Za-z_][\w.]*)")


def _indivisible(
    met: Mapping[str, int], text: str, said: Sequence[str]
) -> tuple[tuple[str, int], tuple[str, int]] | None:
    """Two numbers, where the second should divide the first: those of a `%`, or the only two that do not.

    The latter only where what was said is about dividing.
    """
    for whole, divisor in REMAINDER.findall(text):
        if whole in met and divisor in met and met[divisor] and met[whole] % met[divisor]:
            return (whole, met[whole]), (divisor, met[divisor])
    pairs = [(one, two) for one in met.items() for two in met.items() if one[1] > two[1] > 1 and one[1] % two[1]]
    pairs = pairs if re.search("divi|multiple", " ".join(said)) else []
    return pairs[0] if len(pairs) == 1 else None


def _tensors(link: Link, text: str) -> str:
    """pos is 1×196×48: the tensors that the raising line names."""
    line = text.splitlines()[-1] if text else ""
    held = link.frame.f_locals.items()
    named = [(name, value) for name, value in held if mentions(line, name) and isinstance(value, Tensor)]
    return ", ".join(f"{name} is {shape_text(shape_of(value))}" for name, value in named[:3])


def _whole_patches(arguments: Mapping[str, int], name: str, value: int) -> bool:
    """Whether images of this size, or in these patches, come out whole."""
    role = role_named(name)
    other = {"image": "patch", "patch": "image"}.get(role)
    beside = next((number for word, number in arguments.items() if other and role_named(word) == other), None)
    return beside is None or (beside % value if role == "patch" else value % beside) == 0


@dataclass
class _BuildSearch:
    """Looks for values that build; counts its trials."""

    build: Callable[[Mapping[str, int]], Target]
    setting: str
    trials: int = 0
    stopped: bool = False

    def working(self, links: list[Link], culprits: list[int]) -> Iterator[str]:
        """--set heads=4, 6 or 8 (tried: builds), for the first arguments that have such values."""
        blamed = [(name, culprit) for culprit in culprits for name in _knobs(links, culprit)]
        others = [(name, value) for name, value in _whole_arguments(links) if name not in dict(blamed)]
        given = dict((*blamed, *others))
        usual = {name: [value] for name, value in _defaults(links).items() if value != given.get(name)}
        searches = {
            name: filter(partial(_whole_patches, given, name), (*usual.get(name, ()), *near_numbers(value, culprits)))
            for name, value in given.items()
        }
        offered = 0
        for depth in (SHALLOW, FAILURES - SHALLOW):
            for name, values in searches.items():
                if made := self.first(name, islice(values, depth + ENOUGH), depth):
                    self.stopped = False
                    runs = [value for value, ran in made.items() if ran is not None and ran.failure is None]
                    found = sorted(runs or made)
                    listed = f"{', '.join(map(str, found[:-1]))} or {found[-1]}".removeprefix(" or ")
                    yield f"{self.setting}{name}={listed} (tried: builds{' and runs' if runs else ''})"
                    offered += 1
                if offered == OFFERED:
                    return
            if offered:
                return

    def first(self, name: str, values: Iterable[int], failures: int) -> dict[int, Trace | None]:
        """The first values of an argument that build, each with a forward, until so many have failed before any."""
        found: dict[int, Trace | None] = {}
        for value in values:
            if len(found) == ENOUGH or (failures == 0 and not found):
                break
            if self.trials == TRIALS:
                self.stopped = True
                break
            self.trials += 1
            try:
                made = self.build({name: value})
            except Exception:  # whatever it raises: it does not build
                failures -= 1
                continue
            ran = _run(made)
            if ran is not None and _of_one_patch(ran):
                failures -= 1
            else:
                found[value] = ran
        return found

    def shortfall(self) -> Iterator[str]:
        """A note where the budget ended the search before anything was found."""
        if self.stopped:
            yield f"stopped after {self.trials} trials: other values may build"


def _run(target: Target) -> Trace | None:
    """A forward of what was built, on meta."""
    try:
        return case_of_target(target).run(InputChange(""))
    except Exception:  # whatever it raises: it does not run
        return None


def _of_one_patch(trace: Trace) -> bool:
    """Whether the image is one patch: its position is then broadcast, whatever it was made for."""
    return grids_of(trace)[:1] == [(1, 1)]


def _knobs(links: list[Link], number: int) -> list[str]:
    """Arguments of the constructors on the way that hold a number, those nearest to the user first."""
    return list(dict.fromkeys(name for name, value in _whole_arguments(links) if value == number))


def _whole_arguments(links: list[Link]) -> Iterator[tuple[str, int]]:
    """(name, value) of every whole number that a constructor on the way was called with."""
    for link in links:
        code, held = link.frame.f_code, link.frame.f_locals
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        yield from ((name, held[name]) for name in names if type(held.get(name)) is int and held[name] > 0)


def _defaults(links: list[Link]) -> dict[str, int]:
    """The whole numbers that the outermost constructor takes where nothing is said."""
    made = next((link.frame.f_locals.get("self") for link in links if link.frame.f_code.co_name == "__init__"), None)
    try:
        parameters = inspect.signature(type(made).__init__).parameters.values() if made is not None else ()
    except (TypeError, ValueError):  # not written in Python
        return {}
    return {one.name: one.default for one in parameters if type(one.default) is int and one.default > 0}


def what_builds(refused: Refused, build: Callable[[Mapping[str, int]], Target]) -> Refused:
    """The refusal of a model that does not build, with the numbers behind it; any other as it is."""
    error, seen = first_cause(refused), [one.code for one in refused.diagnostics]
    if error is None or seen != [CODE]:
        return refused
    return Refused(build_failure(error, refused.diagnostics[0], build))


def without(refused: Refused, given: Mapping[str, str], build: Callable[[str], Value]) -> Refused:
    """The refusal with the settings that are to blame, where nothing else was found that helps.

    Args:
        refused: what the build came to.
        given: what was typed, by the hyperparameter it sets.
        build: builds without one of them and gives the value that it has then; raises where that does not work.
    """
    diagnostic = refused.diagnostics[0]
    if diagnostic.help or diagnostic.code != CODE:
        return refused
    found = []
    for name, text in given.items():
        try:
            value = build(name)
        except Exception:  # whatever it raises: this one is not to blame alone
            continue
        usual = f" with {name}={value}" if isinstance(value, (int, float, str)) else ""
        found.append(f"without --set {text} (tried: builds{usual})")
    return Refused(replace(diagnostic, help=tuple(found))) if found else refused


def first_cause(error: BaseException | None) -> BaseException | None:
    """The exception behind refusals; one that was raised from itself leads on by its context."""
    seen: list[BaseException] = []
    while error is not None and hasattr(error, "diagnostics"):
        if error in seen:
            return None
        seen.append(error)
        error = error.__context__ if error.__cause__ is error or error.__cause__ is None else error.__cause__
    return error
