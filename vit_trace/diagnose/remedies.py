"""Tries fixes, in the order that the cause names them, and keeps those that run. No torch."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vit_trace.base.trace import Trace
from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.causes import cause_of
from vit_trace.diagnose.causes.lookup import GATHERS, SCATTERS, SELECTS
from vit_trace.diagnose.causes.reshape import numbers_written_out
from vit_trace.diagnose.changes.parameters import LIKEWISE, everywhere, resized, sizes_changed
from vit_trace.diagnose.changes.records import (
    AttributeChange,
    CallChange,
    Fix,
    InputChange,
    LayerInput,
    NumberChange,
    ParameterResize,
    SettingChange,
    Tried,
)
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.meaning import as_wide_as_the_image, means_the_same
from vit_trace.diagnose.scene import Scene
from vit_trace.diagnose.trials import Case

MOST = 3
"""Remedies offered for one failure; the search ends there."""

OFFERED = {"layout": 1, "number": 4}
"""Remedies offered of one group; 2 of any other."""

LOOKUPS = {"Embedding", "embedding", "getitem", "setitem", "one_hot"} | GATHERS | SCATTERS | SELECTS
"""Operations whose result depends on index values."""

FOLLOWING = 3
"""Further parameters resized with one; where more would have to follow, the fix is dropped."""


def _candidates(question: Question) -> Iterator[Fix]:
    """All changes that the cause names; if values decide, only more rows, since a trial on meta has no values."""
    for change in (resized,) if question.cause.by_value else question.cause.kind.changes or usual():
        yield from change(question)


def remedies(question: Question) -> list[Tried]:
    """The fixes that work, in the order to offer them."""
    found: list[Tried] = []
    groups: Counter[str] = Counter()
    cause, case = question.cause, question.case
    for candidate in _candidates(question):
        if len(found) >= MOST or case.stopped:
            break
        group = _group_of(candidate)
        edited = group == "parameter" and groups["call"] and cause.kind.edits_suffice
        if edited or groups[group] >= OFFERED.get(group, 2) or _another_value(candidate, found, question):
            continue
        worked = _attempted(candidate, question)
        after = case.outcome(worked.change) if worked is not None else None
        if worked is None or after is None or not means_the_same(question, worked.change, after):
            continue
        if cause.by_value and _looks_up_again(question.scene, after):
            continue
        if worked.change.text not in [one.change.text for one in found]:
            found.append(worked)
            groups[group] += 1
            if group == "layout":
                break
    return found


def _another_value(candidate: Fix, found: Sequence[Tried], question: Question) -> bool:
    """Whether a value was found already for what the change sets: where two sizes have to be equal, one will do.

    No other input is offered beside the one that the model was made for.
    """
    if not isinstance(candidate, (SettingChange, InputChange)):
        return False
    alike = [
        one.change for one in found if type(one.change) is type(candidate) and _sets(one.change) == _sets(candidate)
    ]
    one_will_do = question.cause.divisor is None and len(question.cause.sides) == 2
    return bool(alike) and (one_will_do or any(_as_made_for(one, question.case) for one in alike))


def _as_made_for(change: Fix, case: Case) -> bool:
    """Whether a change gives an input of the size that the model was made for."""
    shape = isinstance(change, InputChange) and change.shape
    return bool(shape and case.expected and shape[1:] == case.expected[1:])


def _sets(change: Fix) -> tuple[object, ...]:
    """What a change sets: hyperparameters, and whether the input has another shape."""
    shaped = isinstance(change, InputChange) and (change.name, change.shape is not None, change.steps)
    return shaped, tuple(change.settings)


def _group_of(change: Fix) -> str:
    if isinstance(change, InputChange) and change.steps:
        return "layout"
    return "number" if change.kind in ("hyperparameter", "attribute") else change.kind


def partway(question: Question) -> str:
    """A fix after which the forward runs on and fails later, with that failure; "" for none.

    Looks only at fixes that were tried already.
    """
    before = question.scene.failure.stage
    for candidate in _candidates(question) if not question.cause.by_value else ():
        after = question.case.outcome(candidate)
        if not isinstance(candidate, (AttributeChange, CallChange, LayerInput)) or after is None:
            continue
        if isinstance(candidate, ParameterResize) and as_wide_as_the_image(question, candidate):
            continue
        place = after.failure.stage if after.failure is not None else None
        if after.failure is None or place is None or before is None or place < before:
            continue
        if after.failure.exception.startswith("NotImplementedError"):  # the meta device lacks a function
            continue
        then = Scene(after, after.failure)
        cause = cause_of(then)
        if place > before or cause.code != question.cause.code:
            return f"{candidate.text} (tried: runs on to {then.name}, where {cause.message})"
    return ""


def _looks_up_again(scene: Scene, after: Trace | None) -> bool:
    """Whether a later stage depends on index values too, which a trace on the meta device does not have."""
    start = scene.failure.stage
    if after is None or start is None:
        return True
    return any(
        stage.operation in LOOKUPS and (len(stage.inputs) > 1 or stage.kind == "module")
        for stage in after.stages[start + 1 :]
    )


def _attempted(candidate: Fix, question: Question) -> Tried | None:
    """The fix, alone or with the resizes that have to follow from it; None where that does not run."""
    case = question.case
    worked = case.attempt(candidate)
    if isinstance(candidate, ParameterResize) and everywhere(question.scene, candidate) is not candidate:
        return worked  # the same in all blocks comes next
    for _ in range(FOLLOWING):
        after = case.outcome(candidate)
        if worked is not None or after is None:
            break
        longer = _following(candidate, question, after)
        if longer is None:
            break
        candidate = longer
        worked = case.attempt(candidate)
    return worked


def _following(change: Fix, question: Question, after: Trace) -> Fix | None:
    """The change together with the next one, if with it the forward fails further on for the same size again."""
    if after.failure is None:
        return None
    then = Scene(after, after.failure)
    if isinstance(change, NumberChange):
        return _further_number(change, then, question.case)
    if isinstance(change, CallChange) and change.steps:
        return _further_edit(change, Question(then, cause_of(then), (), question.case))
    if not isinstance(change, ParameterResize):
        return None
    for more in resized(Question(then, cause_of(then), (), question.case)):
        same = sizes_changed(more, then) & sizes_changed(change, question.scene)
        if same and not more.values().keys() & change.values().keys():
            text = f"{change.text.removesuffix(LIKEWISE)} and {more.text}"
            more = everywhere(then, more)
            return ParameterResize(text, {**change.attributes, **more.attributes}, {**change.shapes, **more.shapes})
    return None


def _further_edit(change: CallChange, again: Question) -> CallChange | None:
    """The change together with the same methods in another line, where that fails next.

    Not two transposes: they make attention over tokens one over features.
    """
    if change.steps == (("transpose", -2, -1),):
        return None
    edits = (one for edit in again.cause.edits for one in edit(again))
    for more in edits:
        if isinstance(more, CallChange) and more.steps == change.steps and more.span != change.span:
            return replace(change, text=f"{change.text}, {more.text}", others=(*change.others, more))
    return None


def _further_number(change: NumberChange, then: Scene, case: Case) -> NumberChange | None:
    """The change together with that of the same number in another line, where that fails next."""
    for more in numbers_written_out(Question(then, cause_of(then), (), case)) if then.operands else ():
        if more.literal == change.literal and more.span != change.span:
            text = f"{change.text}, {more.text.replace(f' instead of {more.literal}', '')}"
            return replace(change, text=text, others=(*change.others, more))
    return None
