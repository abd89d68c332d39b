"""A target traced and judged: its failure explained, its silent mistakes found. Imports torch when called."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from vit_trace.base.trace import Diagnostic, Trace

if TYPE_CHECKING:
    from torch import nn

    from vit_trace.diagnose.trials import Case
    from vit_trace.targets.target import Target


_Found = TypeVar("_Found")


def diagnosed(target: Target, rules: bool = True, formulas: bool = True) -> Trace:
    """The target's trace, with a failure explained and silent mistakes among its diagnostics."""
    from vit_trace.diagnose.trials import case_of_target
    from vit_trace.probing.run import run_target

    return _checked(run_target(target, rules, formulas), cache(lambda: case_of_target(target, rules)))


def of_model(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], formulas: bool = True) -> Trace:
    """The trace of a caller's own model, judged; what is tried is tried on copies."""
    from vit_trace.diagnose.trials import case_of_model, case_of_target
    from vit_trace.record.record import RecordOptions, record

    trace = record(model, args, kwargs, RecordOptions(limited=False))
    if not formulas or trace.failure is not None:
        return _checked(trace, cache(lambda: case_of_model(model, args, kwargs)))
    again = _aside(lambda: _built_again(trace, model, args, kwargs))
    if again is not None:
        return _checked(again[0], cache(lambda: case_of_target(again[1])))
    case = cache(lambda: case_of_model(model, args, kwargs))
    return _checked(_aside(lambda: _named(trace, case)), case)


def of_function(trace: Trace, called: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Trace:
    """The trace of a function that ran, with formulas where it can run again on copies of its modules."""
    from vit_trace.diagnose.trials import case_of_model
    from vit_trace.targets.functions import function_model

    model = function_model(called)
    if model is None or trace.failure is not None:
        return trace
    case = dataclasses.replace(case_of_model(model, args, kwargs), train=None)
    return _aside(lambda: _named(trace, lambda: case))


def _built_again(
    trace: Trace, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Trace, Target] | None:
    """The trace with formulas over its hyperparameters, and its target, where its class makes the same model again."""
    from vit_trace.probing.foreign import ForeignTracer
    from vit_trace.targets.at_hand import at_hand
    from vit_trace.targets.target import argument_words

    with suppress(Exception):  # whatever its constructor raises
        for foreign in at_hand(model, args, kwargs):
            named = ForeignTracer(foreign, rules=True).named_beside(trace)
            if named is not None and any(one.hyperparameter for one in named.symbols.values()):
                return named, dataclasses.replace(foreign.target(), words=argument_words)
    return None


def _named(trace: Trace, case: Callable[[], Case]) -> Trace:
    """The trace with formulas over its batch and image, where copies run at other sizes."""
    from vit_trace.diagnose.changes.records import InputChange
    from vit_trace.probing.by_image import named_by_image

    try:
        return named_by_image(trace, lambda shape: case().trial(InputChange.sized(shape)))
    except Exception:  # a model that cannot be copied
        return trace


def of_case(case: Case, told: Callable[[Trace], Trace | None]) -> Trace | None:
    """The trace of a case, judged; `told` may correct what it says before it is judged, or refuse it."""
    from vit_trace.diagnose.changes.records import Fix

    trace = told(case.run(Fix("")))
    return _checked(trace, lambda: case) if trace is not None else None


def _checked(trace: Trace, case: Callable[[], Case]) -> Trace:
    """The trace with its failure explained, or with warnings of silent mistakes."""
    from vit_trace.diagnose.silent import NOT_LOOKED_FOR, silent_mistakes

    try:
        if trace.failure is not None:
            from vit_trace.diagnose.failure import explained

            return _aside(lambda: explained(trace, case()))
        trace, found = _aside(lambda: (_mixed(trace, case()), silent_mistakes(trace, case)))
    except Exception as error:  # the bare failure is worth more than our own, and a trace more than its warnings
        told = f"({type(error).__name__}: {error}): please report this"
        if trace.failure is None:
            note = Diagnostic(NOT_LOOKED_FOR, "note", f"vit-trace could not measure what depends on what {told}")
            return replace(trace, diagnostics=(*trace.diagnostics, note))
        lost = f"vit-trace could not work out the cause {told}"
        return replace(trace, failure=replace(trace.failure, notes=(*trace.failure.notes, lost)))
    return replace(trace, diagnostics=(*trace.diagnostics, *found)) if found else trace


def _aside(what: Callable[[], _Found]) -> _Found:
    """what(), in a context of its own, off the network and unseen: who listens must not hear the trials."""
    from vit_trace.base.network import closed_meanwhile
    from vit_trace.targets.complaints import silenced

    with closed_meanwhile(), silenced():
        return Context().run(what)


def _mixed(trace: Trace, case: Case) -> Trace:
    """The trace with what each stage mixes, where that could be measured."""
    from vit_trace.mixing.mixes import with_mixes

    return with_mixes(trace, case.measured) if case.measured is not None else trace
