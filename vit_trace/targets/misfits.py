"""Makes a model by one call of a library's function, and explains which argument of --set does not fit.

The library passes arguments on to a class that is known only once it is built, so this is asked after a failure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vit_trace.base.refused import Refused
from vit_trace.record.source import frames
from vit_trace.targets import assignments
from vit_trace.targets.building import build_first
from vit_trace.targets.complaints import contained, refusal
from vit_trace.targets.inputs import Plan
from vit_trace.targets.recipe import Recipe, assemble
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign

if TYPE_CHECKING:
    from vit_trace.record.build.anyhow import Built


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
        raise explained(spec, error, request.assigned, create) from error
    return assemble(Recipe(spec, make, built, plans=plans), request)


def explained(spec: str, error: Exception, given: Mapping[str, str], create: Callable[[], object]) -> Exception:
    """The refusal of an argument of --set that the class does not take; the error itself where none is to blame.

    `error` is what building raised, with the library's own exception as its cause; `create` makes the model without
    --set.
    """
    found = re.search(r"(\w+)\(\) got an unexpected keyword argument '(\w+)'", str(error.__cause__))
    if not given or error.__cause__ is None:
        return error
    if found and found[2] in given:
        maker = maker_on(error.__cause__.__traceback__, str(error.__cause__).partition("(")[0].rpartition(".")[0])
        parameters = (assignments.signature_of(maker) if maker else None) or {}
        names = assignments.named(parameters)
        if names and maker is not None:
            return assignments.unknown(found[2], names, f"{spec} ({maker.__name__})")
        return refusal("unknown-hyperparameter", f"{spec} takes no {found[2]}")
    return mistyped(given, create) or error


def mistyped(given: Mapping[str, str], create: Callable[[], object]) -> Refused | None:
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
            if call is not None and name in parameters:
                one = parameters[name]
                assignments.typed(name, text, call.arguments.get(name, one.default), one.annotation)
    except Refused as refused:
        return refused
    return None


def maker_on(traceback: TracebackType | None, name: str) -> type | None:
    """The class of that name among the variables on a traceback."""
    for frame, _ in frames.entries(traceback):
        for values in (frame.f_locals, frame.f_globals):
            for value in values.values():
                if isinstance(value, type) and value.__name__ == name:
                    return value
    return None
