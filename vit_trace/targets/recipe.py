"""Makes the target of a built model: its arguments, knobs and inputs. What differs between libraries is in a Recipe.

Also says which argument of --set a library does not take: only building shows the class that it is passed on to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vit_trace.base.refused import Refused, refuse
from vit_trace.base.roles import Path
from vit_trace.base.trace import Value
from vit_trace.record.source import frames
from vit_trace.targets import assignments
from vit_trace.targets.complaints import build_first, contained
from vit_trace.targets.flags import flag_changes, require_followed
from vit_trace.targets.inputs import Given, Plan, given_plan
from vit_trace.targets.knobs import Changes, Knob, change_values, image_changes, image_places, integer_of, knobs_of
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign

if TYPE_CHECKING:
    from vit_trace.record.build.anyhow import Built


def showable(values: Mapping[str, Any]) -> dict[str, Value]:
    """The arguments that can be shown and saved: numbers, texts, lists of them."""
    several = {name: list(value) if isinstance(value, (tuple, list)) else [value] for name, value in values.items()}
    plain = [name for name, parts in several.items() if all(isinstance(one, (int, float, str)) for one in parts)]
    return {name: several[name] if isinstance(values[name], (tuple, list)) else values[name] for name in plain}


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
    built, make, call = recipe.built, recipe.make, recipe.built.call
    arguments = recipe.arguments if recipe.arguments is not None else call.arguments if call else {}
    vary = recipe.vary or (None if call is None else lambda changes: call.again(change_values(arguments, changes)))
    sized = _flagged(recipe, arguments if vary is not None else {}, request)
    if sized and vary is not None:
        make = partial(vary, sized)
        built = build_first(recipe.spec, make, request.rules)
        arguments = change_values(arguments, sized)
    again = None if vary is None else lambda changes: vary({**sized, **changes})
    turnable = knobs_of(arguments) if again is not None else ()
    if recipe.follows is not None:
        turnable = _independent(turnable, recipe.follows)
    if request.given:
        from vit_trace.targets.guess import refuse_unknown_inputs

        refuse_unknown_inputs(built.model, [one.name for one in request.given if one.name])
        plans: Sequence[Plan] = [given_plan(_in_place(built, request.given), integer_of(arguments, "channels"))]
    else:
        plans = recipe.plans(built)
    shown, usual = showable(arguments), recipe.plans if recipe.sure else lambda _: ()
    return Foreign(recipe.spec, make, built, arguments, turnable, again, plans, shown, request.train, usual=usual)


def _flagged(recipe: Recipe, arguments: Mapping[str, Any], request: Request) -> Changes:
    """What the flags of the command line change in the arguments. Raises Refused."""
    changes = flag_changes(request.flags, arguments, request.assigned)
    if changes and recipe.follows is not None:
        require_followed(changes, recipe.follows(changes))
    if request.image is not None:
        changes |= image_changes(image_places(arguments), *request.image)
    return changes


def _in_place(built: Built, given: Sequence[Given]) -> Sequence[Given]:
    """The inputs without their names, in the order of a program's own, which takes them by place alone."""
    from vit_trace.record.build.captured import program_of

    program = program_of(built.model)
    names = program.names if program is not None else ()
    if not names or {one.name for one in given} != set(names):
        return given
    return [one._replace(name=None) for one in sorted(given, key=lambda one: names.index(str(one.name)))]


def _independent(knobs: Sequence[Knob], follows: Callable[[Changes], Mapping[Path, Any]]) -> tuple[Knob, ...]:
    """The knobs that stay when another is turned, and that do change what they say."""
    before, following = follows({}), set[Path]()
    alive = []
    for knob in knobs:
        try:
            after = follows(knob.changes(knob.value * 2))
        except Exception:  # it may have to change together with another
            alive.append(knob)
            continue
        own = {path if path in before else path[:-1] for path, _ in knob.places}
        moved = {path for path in before if path in after and after[path] != before[path]}
        following |= moved - own
        if own & moved:
            alive.append(knob)
    return tuple(knob for knob in alive if all({path, path[:-1]}.isdisjoint(following) for path, _ in knob.places))


def assemble_call(
    spec: str,
    create: Callable[..., object],
    values: Mapping[str, Any],
    plans: Callable[[Built], Sequence[Plan]],
    request: Request,
) -> Foreign:
    """The target that `create(**values)` makes. Raises Refused, about the value of --set that does not fit."""
    make = partial(create, **values)
    try:
        built = build_first(spec, make, request.rules)
    except Exception as error:
        if request.trial:
            raise
        raise _explained(spec, error, request.assigned, create) from error
    return assemble(Recipe(spec, make, built, plans=plans), request)


def _explained(spec: str, error: Exception, given: Mapping[str, str], create: Callable[[], object]) -> Exception:
    """The refusal of an argument of --set that the class does not take; the error itself where none is to blame.

    `error` is what building raised, with the library's own exception as its cause; `create` makes the model without
    --set.
    """
    raised = error.__cause__
    if not given or raised is None:
        return error
    found = re.search(r"\w\(\) got an unexpected keyword argument '(\w+)'", str(raised))
    if found is None or found[1] not in given:
        return _mistyped(given, create) or error
    maker = _maker_on(raised.__traceback__, str(raised).partition("(")[0].rpartition(".")[0])
    names = assignments.named((assignments.signature_of(maker) if maker else None) or {})
    if maker is not None and names:
        return assignments.unknown(found[1], names, f"{spec} ({maker.__name__})")
    return refuse("unknown-hyperparameter", f"{spec} takes no {found[1]}")


def _mistyped(given: Mapping[str, str], create: Callable[[], object]) -> Refused | None:
    """The refusal of a value of another type than its parameter takes."""
    from vit_trace.record.build.anyhow import build_anyhow

    try:
        with contained():
            call = build_anyhow(create).call
    except Exception:
        return None
    parameters = (assignments.signature_of(call.made) if call else None) or {}
    try:
        for name, text in given.items():
            if call is not None and (one := parameters.get(name)):
                assignments.typed(name, text, call.arguments.get(name, one.default), one.annotation)
    except Refused as refused:
        return refused
    return None


def _maker_on(traceback: TracebackType | None, name: str) -> type | None:
    """The class of that name among the variables on a traceback."""
    scopes = (scope for frame, _ in frames.entries(traceback) for scope in (frame.f_locals, frame.f_globals))
    values = (value for scope in scopes for value in scope.values() if isinstance(value, type))
    return next((value for value in values if value.__name__ == name), None)
