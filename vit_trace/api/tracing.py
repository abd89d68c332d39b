"""Traces whatever a program has: a model, one of its methods, a spec, or any function that runs modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction, isgeneratorfunction
from typing import Any

from vit_trace.api.around import Explain, traced_call
from vit_trace.base.network import closed_meanwhile
from vit_trace.base.refused import value_errors
from vit_trace.base.trace import Trace
from vit_trace.targets.flags import INPUT_FLAGS, SIZES


def trace_of_call(
    called: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], formulas: bool, explain: Explain
) -> Trace:
    """The trace of a module, a method of one, or a function. Raises TypeError where it is none of these."""
    from vit_trace.diagnose.diagnose import of_function, of_model
    from vit_trace.targets.methods import is_module, with_method

    owner = getattr(called, "__self__", None)
    if is_module(called):
        return of_model(called, args, kwargs, formulas)
    if is_module(owner):
        with with_method(owner, getattr(called, "__name__", "")):
            return of_model(owner, args, kwargs, formulas)
    if isinstance(called, type):
        raise TypeError(
            f"vit_trace.trace takes a model, got the class {called.__name__}: {called.__name__}(…) makes one"
        )
    if not callable(called):
        raise TypeError(f"vit_trace.trace takes a torch.nn.Module, a function or a spec, got {type(called).__name__}")
    if iscoroutinefunction(called) or isgeneratorfunction(called):
        raise TypeError(f"{called.__name__} only runs while somebody waits for it: use `with vit_trace.recording()`")
    trace = traced_call(called, args, kwargs, explain)
    return of_function(trace, called, args, kwargs) if formulas else trace


def trace_of_spec(spec: str, inputs: tuple[Any, ...], settings: Mapping[str, Any], formulas: bool) -> Trace:
    """The trace of what a spec names, with settings by name. Raises ValueError with the diagnostic."""
    from vit_trace.diagnose.resolve import of_spec
    from vit_trace.targets.request import Request

    if inputs:
        raise TypeError("what a spec names is fed by vit-trace: pass settings by name, image_size=384")
    texts = {name: _setting_text(value) for name, value in settings.items()}
    flags = {name: text for name, text in texts.items() if name in (*INPUT_FLAGS, *SIZES)}
    assignments = tuple(f"{name}={text}" for name, text in texts.items() if name not in flags)
    with closed_meanwhile(), value_errors():
        return of_spec(spec, Request(flags, assignments=assignments, formulas=formulas))[0]


def _setting_text(value: Any) -> str:
    """A value as on the command line: (256, 320) is 256x320."""
    sizes = isinstance(value, tuple) and all(type(one) is int for one in value)
    return "x".join(map(str, value)) if sizes else str(value)
