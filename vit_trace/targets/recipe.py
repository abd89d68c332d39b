"""Makes the target of a built model: its arguments, knobs and inputs. What differs between libraries is in a Recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vit_trace.base.roles import Path
from vit_trace.base.trace import Value
from vit_trace.targets.building import build_first
from vit_trace.targets.inputs import Plan, given_plan
from vit_trace.targets.knobs import Changes, Knob, change_values, image_changes, image_places, integer_of, knobs_of
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign

if TYPE_CHECKING:
    from vit_trace.record.build.anyhow import Built


def showable(values: Mapping[str, Any]) -> dict[str, Value]:
    """The arguments that can be shown and saved: numbers, texts, lists of them."""
    found: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, (bool, int, float, str)):
            found[name] = value
        elif isinstance(value, (tuple, list)) and all(isinstance(one, (bool, int, float, str)) for one in value):
            found[name] = list(value)
    return found


@dataclass(frozen=True)
class Recipe:
    """What a library's file knows of a model it has built: how it is made, made again and fed.

    `arguments` and `vary` are for a model that is not just a call of its class: what it was made of, and it with some
    of that changed; `follows` gives all numbers that a change leads to, so that what follows is not turned itself; it
    is `sure` where the plans are known and not guessed.
    """

    spec: str
    make: Callable[[], object]
    built: Built
    plans: Callable[[Built], Sequence[Plan]]
    arguments: Mapping[str, Any] | None = None
    vary: Callable[[Changes], object] | None = None
    follows: Callable[[Changes], Mapping[Path, Any]] | None = None
    sure: bool = True


def assemble(recipe: Recipe, request: Request) -> Foreign:
    """The target that the command line asks for: its image size, its inputs. Raises Refused."""
    from vit_trace.targets.assignments import from_flags

    built, make, call = recipe.built, recipe.make, recipe.built.call
    arguments = recipe.arguments if recipe.arguments is not None else call.arguments if call else {}
    vary = recipe.vary or (None if call is None else lambda changes: call.again(change_values(arguments, changes)))
    from_flags(request.flags, list(arguments), recipe.spec)
    sized: Changes = {}
    if request.image is not None and vary is not None and (places := image_places(arguments)):
        sized = image_changes(places, *request.image)
        make = partial(vary, sized)
        built = build_first(recipe.spec, make, request.rules)
        arguments = change_values(arguments, sized)
    again = None if vary is None else lambda changes: vary({**sized, **changes})
    turnable = knobs_of(arguments) if again is not None else ()
    if recipe.follows is not None:
        turnable = independent(turnable, recipe.follows)
    if request.given:
        from vit_trace.targets.guess import refuse_unknown_inputs

        refuse_unknown_inputs(built.model, [one.name for one in request.given if one.name])
        plans: Sequence[Plan] = [given_plan(request.given, integer_of(arguments, "channels"))]
    else:
        plans = recipe.plans(built)
    hyperparameters = showable(arguments)
    return Foreign(
        recipe.spec,
        make,
        built,
        arguments,
        turnable,
        again,
        plans,
        hyperparameters,
        request.train,
        usual=recipe.plans if recipe.sure else lambda _: (),
    )


def independent(knobs: Sequence[Knob], follows: Callable[[Changes], Mapping[Path, Any]]) -> tuple[Knob, ...]:
    """The knobs that stay when another is turned, and that do change what they say."""
    before = follows({})
    following: set[Path] = set()
    dead: set[Knob] = set()
    for knob in knobs:
        try:
            after = follows(knob.changes(knob.value * 2))
        except Exception:
            dead.add(knob)
            continue
        own = {path if path in before else path[:-1] for path, _ in knob.places}
        moved = {path for path in before if path in after and after[path] != before[path]}
        following |= moved - own
        if not own & moved:
            dead.add(knob)

    def follows_another(knob: Knob) -> bool:
        return any(path in following or path[:-1] in following for path, _ in knob.places)

    return tuple(knob for knob in knobs if knob not in dead and not follows_another(knob))
