"""Tries fixes, the smallest first, and keeps those that run. No torch.

The modules of `changes` yield candidates, each for one kind of change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vit_trace.base.trace import Producer, Trace
from vit_trace.diagnose.cause import Cause
from vit_trace.diagnose.causes import cause_of
from vit_trace.diagnose.causes.gather import GATHERS, SCATTERS, SELECTS
from vit_trace.diagnose.changes.calls import calls
from vit_trace.diagnose.changes.inputs import conversions, input_sizes, input_width, layouts, swapped
from vit_trace.diagnose.changes.parameters import everywhere, following, resized
from vit_trace.diagnose.changes.records import CallChange, Fix, LayerInput, ParameterResize, Tried
from vit_trace.diagnose.changes.settings import dividing, matching_hyperparameters
from vit_trace.diagnose.scene import Scene
from vit_trace.diagnose.trials import Case

MOST = 4
"""Remedies offered for one failure; the search ends there."""

OFFERED = {"layout": 1, "number": 4}
"""Remedies offered of one group; 2 of any other."""

LOOKUPS = {"Embedding", "embedding", "getitem", "setitem", "one_hot"} | GATHERS | SCATTERS | SELECTS
"""Operations whose result depends on index values."""

FOLLOWING = 3
"""Further parameters resized with one; where more would have to follow, the fix is dropped."""


def remedies(scene: Scene, cause: Cause, producers: Sequence[Producer], case: Case) -> list[Tried]:
    """The fixes that work, in the order to offer them."""
    found: list[Tried] = []
    kinds: dict[str, int] = {}
    for candidate in candidates(scene, cause, producers, case):
        if len(found) >= MOST or case.stopped:
            break
        group = candidate.group
        if group == "parameter" and "call" in kinds and cause.code in ("cat", "broadcast"):
            continue  # a line that can be mended is no reason to resize what it is given
        if kinds.get(group, 0) >= OFFERED.get(group, 2):
            continue
        worked = attempted(candidate, scene, case)
        if worked is not None and cause.by_value and looks_up_again(scene, case.outcome(worked.change)):
            continue
        if worked is not None and worked.change.text not in [one.change.text for one in found]:
            found.append(worked)
            kinds[group] = kinds.get(group, 0) + 1
            if group == "layout":
                break
    return found


def partway(scene: Scene, cause: Cause, producers: Sequence[Producer], case: Case) -> str:
    """A fix after which the forward runs on and fails later, with that failure; "" for none.

    Looks only at fixes that were tried already.
    """
    for candidate in candidates(scene, cause, producers, case):
        after = case.outcome(candidate)
        if (
            not isinstance(candidate, (CallChange, LayerInput, ParameterResize))
            or after is None
            or after.failure is None
            or cause.by_value
        ):
            continue
        place, before = after.failure.stage, scene.failure.stage
        if place is not None and before is not None and place > before:
            then = Scene(after, after.failure)
            return f"{candidate.text} (tried: runs on to {then.name}, where {cause_of(then).message})"
    return ""


def looks_up_again(scene: Scene, after: Trace | None) -> bool:
    """Whether a later stage depends on index values too, which a trace on the meta device does not have."""
    start = scene.failure.stage
    if after is None or start is None:
        return True
    return any(
        stage.operation in LOOKUPS and (len(stage.inputs) > 1 or stage.kind == "module")
        for stage in after.stages[start + 1 :]
    )


def attempted(candidate: Fix, scene: Scene, case: Case) -> Tried | None:
    """The fix, alone or with the resizes that have to follow from it; None where that does not run."""
    worked = case.attempt(candidate)
    # the same change in every block is the next candidate
    shared = isinstance(candidate, ParameterResize) and everywhere(scene, candidate) is not candidate
    for _ in range(FOLLOWING):
        after = case.outcome(candidate)
        if worked is not None or after is None or shared:
            break
        longer = following(candidate, scene, after)
        if longer is None:
            break
        candidate = longer
        worked = case.attempt(candidate)
    return worked


def stands_elsewhere(scene: Scene, cause: Cause) -> bool:
    """Whether the features that a norm was built for are another axis of its input: the norm is not to be rebuilt."""
    given = scene.tensor(0) or (scene.stage.inputs[0] if scene.stage is not None and scene.stage.inputs else None)
    return (
        cause.code == "norm-size"
        and given is not None
        and len(cause.sides) == 2
        and cause.sides[1].size in given.shape[1:]
    )


def candidates(scene: Scene, cause: Cause, producers: Sequence[Producer], case: Case) -> Iterator[Fix]:
    """All kinds of fixes, the likeliest first."""
    if cause.by_value:  # nothing but more rows makes room for a value; what an input does to values is not seen
        yield from resized(scene, cause, producers)
        return
    if cause.code == "dtype":
        yield from conversions(scene)
    yield from layouts(scene, cause, case)
    yield from matching_hyperparameters(scene, case)
    yield from calls(scene, cause)
    yield from dividing(scene, cause, case)
    yield from input_sizes(scene, cause, producers, case)
    if not stands_elsewhere(scene, cause):
        yield from resized(scene, cause, producers)
    yield from swapped(scene, cause)
    yield from input_width(scene, cause, case)
