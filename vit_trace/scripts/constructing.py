"""Explains a constructor that raised in a program: the numbers in its line, and arguments that build."""

from __future__ import annotations

from collections.abc import Mapping
from types import FrameType
from typing import Any

from vit_trace.base.trace import Diagnostic
from vit_trace.diagnose.construct import CODE, build_failure
from vit_trace.record.build.anyhow import build_anyhow
from vit_trace.record.raised.crash import Crash
from vit_trace.record.source import frames
from vit_trace.scripts.replay import quietly
from vit_trace.targets.complaints import words
from vit_trace.targets.guess import guessed_plans, image_size_of
from vit_trace.targets.recipe import Recipe, assemble
from vit_trace.targets.request import NO_REQUEST
from vit_trace.targets.target import Target


def of_constructor(crash: Crash) -> Diagnostic | None:
    """The diagnosis of a constructor that raised; None where no size has to do with it."""
    frame = crash.constructor
    if frame is None or not crash.is_of_shapes():
        return None
    made, arguments = type(frame.f_locals["self"]), _arguments(frame)
    known = Diagnostic(CODE, "error", f"{made.__name__} could not be built", crash.span, (words(crash.error),))
    with quietly():
        if not _fails_again(made, arguments, crash.error):
            arguments = {}

        def build(values: Mapping[str, int]) -> Target:
            if not arguments:
                raise TypeError("it is not known how it is made")
            return _target(made, {**arguments, **values})

        found = build_failure(crash.error, known, build, setting="")
    inside_torch = not frames.is_own(crash.entries[-1][0])
    said = found.message != known.message or found.help or (inside_torch and found.notes != known.notes)
    return found if said else None


def _arguments(frame: FrameType) -> dict[str, Any]:
    """What the constructor was called with, as its frame still holds it."""
    code, held = frame.f_code, frame.f_locals
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    found = {name: held[name] for name in names if name in held}
    more = code.co_varnames[code.co_argcount + code.co_kwonlyargcount :]
    if code.co_flags & 0x04:
        more = more[1:]
    if code.co_flags & 0x08 and more and isinstance(held.get(more[0]), dict):
        found |= held[more[0]]
    return found


def _fails_again(made: type, arguments: Mapping[str, Any], error: BaseException) -> bool:
    try:
        build_anyhow(lambda: made(**arguments))
    except Exception as again:
        return type(again) is type(error) and str(again) == str(error)
    return False


def _target(made: type, arguments: dict[str, Any]) -> Target:
    """The model that its class makes of other arguments, fed as its arguments suggest. Raises what building raises."""

    def make() -> object:
        return made(**arguments)

    built = build_anyhow(make)
    recipe = Recipe(made.__name__, make, built, lambda one: guessed_plans(one, NO_REQUEST, image_size_of(arguments)))
    return assemble(recipe, NO_REQUEST).target()
