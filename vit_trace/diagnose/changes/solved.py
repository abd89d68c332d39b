"""Changes the settings or the input to values at which the sizes that disagree agree, by their formulas. No torch."""

from collections.abc import Iterator, Mapping, Sequence
from math import isqrt

from vit_trace.base.roles import role_named
from vit_trace.base.trace import Symbol, Value
from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.changes.inputs import built_for, first_input, resized_input
from vit_trace.diagnose.changes.records import Fix, InputChange
from vit_trace.diagnose.grids import MOST_BESIDE
from vit_trace.diagnose.naming import formula_of
from vit_trace.diagnose.scene import Side
from vit_trace.dims.solve import Condition, Wanted, at_values, solutions, symbols_behind

PATCHES = {"p", "p1", "p2", "pt"}
"""Symbols of the sides of a patch."""


STRIDES = (32, 16, 14, 8, 7)
"""What a side of an image is most often a multiple of."""

HALVED = (1, 2, 4, 8)
"""Patches, or windows of them, that make one on a later stage: a grid is halved there."""

LARGEST = 64
"""Numbers of the failing frame up to which they may be what has to divide an image."""


def solved(question: Question) -> Iterator[Fix]:
    """Other values of one setting, of a side of the input, or of both sides, at which the cause's sizes agree."""
    for conditions in _conditions(question):
        yield from _changes(question, conditions)


def multiples(question: Question) -> Iterator[Fix]:
    """Images near this one that are multiples of the small numbers of the failing frame, in pixels or in patches, of
    windows of patches, or of usual strides.
    """
    known, divisor = _with_sides(question), question.cause.divisor or 1
    small = [one for one in (divisor, *question.scene.whole_numbers.values()) if 1 < one <= LARGEST]
    held = {role_named(name): value for name, value in question.case.hyperparameters.items() if type(value) is int}
    windows = held.get("patch", 1) * held.get("window", 1)
    coarse = [windows * times for times in HALVED if windows > 1]
    found: list[Mapping[str, int]] = []
    sides = ("T", "H", "W") if len(first_input(question.scene)) == 5 and "T" in _axes(question) else ("H", "W")
    for names, numbers in ((sides, (*small, *coarse, *STRIDES)), (("h", "w"), small)):
        for number in dict.fromkeys(numbers) if set(names) <= known.keys() else ():
            conditions = [Condition.of(number, name, Wanted.MULTIPLE) for name in names]
            found += [changed for changed in solutions(conditions, known) if changed.keys() <= {*sides}]
    for changed in sorted(found, key=lambda one: sum(abs(size - known[name].value) for name, size in one.items())):
        yield from _fixes(question, changed)


def square_grids(question: Question) -> Iterator[Fix]:
    """Images of as many patches as a square has, where the check that failed asks for one."""
    known = question.scene.trace.symbols
    if "n" in known and isqrt(known["n"].value) ** 2 != known["n"].value:
        for changed in solutions([Condition.of("n", "n", Wanted.SQUARE)], known):
            yield from _fixes(question, changed) if {"H", "W"} <= changed.keys() else ()


def _changes(question: Question, conditions: Sequence[Condition]) -> Iterator[Fix]:
    """The changes at which conditions hold."""
    found = solutions(conditions, question.scene.trace.symbols)
    if any(one.wanted is Wanted.MULTIPLE for one in conditions):
        found = (changed for changed in found if "b" not in changed)  # a batch is no remedy for what is left over
    for changed in sorted(found, key=lambda changed: not changed.keys().isdisjoint(PATCHES)):  # other patches are last
        yield from _fixes(question, {**changed, **_other_side(question, conditions, changed)})


def _other_side(question: Question, conditions: Sequence[Condition], changed: Mapping[str, int]) -> dict[str, int]:
    """The other side of a square image, where what has to hold is of one side alone."""
    names = frozenset().union(*(one.symbols for one in conditions))
    sides = {"H", "W"} & symbols_behind(names, question.scene.trace.symbols).keys()
    given = first_input(question.scene)
    square = len(given) == 4 and given[2] == given[3]
    return {one: changed[side] for side in sides & changed.keys() for one in "HW" if square and len(sides) == 1}


def _conditions(question: Question) -> Iterator[Sequence[Condition]]:
    """What has to hold: the cause's two sizes are equal; what it divides by divides its sizes."""
    sides = question.cause.sides
    texts = [_text(side) for side in sides]
    if not any(map(formula_of, sides)):
        texts = [_counted(question, side.size) for side in sides]
    if len(sides) == 2 and question.cause.divisor is None:
        yield (Condition.of(texts[0], texts[1]),)
    divisor = question.cause.divisor
    if divisor is not None and divisor > 1:
        for text in texts:
            yield (Condition.of(divisor, text, Wanted.MULTIPLE),)


def _text(side: Side) -> str:
    """The side's formula, or its number."""
    return formula_of(side) or str(side.size)


def _counted(question: Question, size: int) -> str:
    """n + 1, where a number that no tensor has is that of the patches, or of a few tokens more; else the number."""
    patches = question.scene.trace.symbols.get("n")
    more = size - patches.value if patches is not None else -1
    return f"n + {more}" if 0 <= more <= MOST_BESIDE else str(size)


def _fixes(question: Question, changed: Mapping[str, int]) -> Iterator[Fix]:
    """The change of settings, of the input, or of both, that gives symbols other values."""
    symbols, case = _with_sides(question), question.case
    settings: dict[str, Value] = {}
    for name, value in changed.items():
        knob, _, place = (symbols[name].hyperparameter or "").partition("[")
        if knob in case.hyperparameters and case.variant is not None:
            settings[knob] = _placed(settings.get(knob, case.hyperparameters[knob]), place, value)
            settings = {one: new for one, new in settings.items() if new != case.hyperparameters[one]}
        elif knob and name not in _axes(question):
            return
    shape = list(first_input(question.scene))
    values = at_values(symbols, changed)  # a width may follow from a height
    for axis, name in enumerate(_axes(question)):
        shape[axis] = values[name] if name in values and values[name] != symbols[name].value else shape[axis]
    given = first_input(question.scene)
    if tuple(shape) == given:
        yield case.setting(settings)
        return
    if len(shape) == 4 and given[2] == given[3] and shape[2] != shape[3]:
        return  # as many patches on another grid: each would get the position of another place
    if "H" not in question.scene.trace.symbols and not built_for(given, case):
        settings |= built_for(tuple(shape), case)
    change = resized_input(given, tuple(shape))
    if settings:
        text = f"{case.setting(settings).text} and {change.text}"
        change = InputChange(text, shape=change.shape, settings=settings)
    yield change


def _placed(held: Value, place: str, value: int) -> Value:
    """A hyperparameter with a new value at a place of it: (224, 448) -> (224, 224)."""
    if isinstance(held, (list, tuple)) and place:
        return [value if at == int(place.rstrip("]")) else one for at, one in enumerate(held)]
    return value


def _axes(question: Question) -> tuple[str, ...]:
    """What the axes of the first input are called."""
    inputs = (spec.dims for stage in question.scene.inputs for spec in stage.outputs)
    names = next(inputs, ())
    sides = ("T", "H", "W")[5 - len(names) :] if len(names) in (4, 5) and "T" not in names else ()
    return (*names[:2], *sides) if sides else names


def _with_sides(question: Question) -> Mapping[str, Symbol]:
    """The symbols of the trace, and the sides of its images where they have none."""
    known, shape = question.scene.trace.symbols, first_input(question.scene)
    sides = {name: size for name, size in zip(_axes(question)[2:], shape[2:], strict=False) if name in ("T", "H", "W")}
    return {**{name: Symbol(size, "side of the input") for name, size in sides.items()}, **known}
