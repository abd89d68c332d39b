"""Why a library could not build a model with what --set gave: an argument its class does not take, or not so.

A library hands arguments on to a class that is known only once it is built; so this is asked after it has failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from vit_trace.base.refused import Refused
from vit_trace.targets import assignments
from vit_trace.targets.complaints import contained, refusal


def explained(spec: str, error: Exception, given: Mapping[str, str], plain: Callable[[], object]) -> Exception:
    """The complaint about one of the arguments given, with what the class takes; the error itself where it is none.

    Args:
        error: what building it raised, a Refused with the library's own exception as its cause.
        given: --set as typed.
        plain: makes the model without them.
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
    return mistyped(given, plain) or error


def mistyped(given: Mapping[str, str], plain: Callable[[], object]) -> Refused | None:
    """The complaint about a value that is none of the type its parameter has."""
    from vit_trace.record.build.anyhow import build_anyhow

    try:
        with contained():
            call = build_anyhow(plain).call
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
    while traceback is not None:
        scopes: tuple[Mapping[str, Any], ...] = (traceback.tb_frame.f_locals, traceback.tb_frame.f_globals)
        for values in scopes:
            for value in values.values():
                if isinstance(value, type) and value.__name__ == name:
                    return value
        traceback = traceback.tb_next
    return None
