"""Changes the settings or the input to values at which the sizes that disagree agree, by their formulas. No torch."""

from collections.abc import Iterator, Mapping, Sequence

from vit_trace.base.trace import Value
from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.changes.inputs import first_input, resized_input
from vit_trace.diagnose.changes.records import Fix, InputChange
from vit_trace.diagnose.naming import formula_of
from vit_trace.diagnose.scene import Side
from vit_trace.dims.solve import Condition, Wanted, at_values, solutions

PATCHES = {"p", "p1", "p2", "pt"}
"""Symbols of the sides of a patch."""


def solved(question: Question) -> Iterator[Fix]:
    """Other values of one setting, of a side of the input, or of both sides, at which the cause's sizes agree."""
    symbols = question.scene.trace.symbols
    for conditions in _conditions(question):
        found = solutions(conditions, symbols)
        if question.cause.divisor is not None:  # an image that is a multiple of its patch, before another patch
            several = (changed for changed in found if "b" not in changed)  # a batch is no remedy for what is left over
            found = iter(sorted(several, key=lambda changed: not changed.keys().isdisjoint(PATCHES)))
        for changed in found:
            yield from _fixes(question, changed)


def _conditions(question: Question) -> Iterator[Sequence[Condition]]:
    """What has to hold: the cause's two sizes are equal; what it divides by divides its sizes."""
    sides = question.cause.sides
    texts = [_text(side) for side in sides]
    if len(sides) == 2 and any(map(formula_of, sides)) and question.cause.divisor is None:
        yield (Condition.of(texts[0], texts[1]),)
    divisor = question.cause.divisor
    if divisor is not None and divisor > 1:
        for text in texts:
            yield (Condition.of(divisor, text, Wanted.MULTIPLE),)


def _text(side: Side) -> str:
    """The side's formula, or its number."""
    return formula_of(side) or str(side.size)


def _fixes(question: Question, changed: Mapping[str, int]) -> Iterator[Fix]:
    """The change of settings, of the input, or of both, that gives symbols other values."""
    symbols, case = question.scene.trace.symbols, question.case
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
    return next(inputs, ())
