"""Makes models of the user's own code, package.module:NAME or FILE.py:NAME, called with the values of --set."""

from __future__ import annotations

import copy
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

from vit_trace.base.refused import refuse
from vit_trace.targets import assignments
from vit_trace.targets.complaints import build_first, did_you_mean, typed_text
from vit_trace.targets.flags import required_values
from vit_trace.targets.guess import guessed_plans, image_size_of
from vit_trace.targets.importing import module_of
from vit_trace.targets.knobs import Changes, change_values, image_places
from vit_trace.targets.methods import method_named, traced_method
from vit_trace.targets.objects import with_objects
from vit_trace.targets.recipe import Recipe, assemble
from vit_trace.targets.request import Request
from vit_trace.targets.target import Foreign


def python_model(spec: str, request: Request) -> Foreign:
    """The model that a function, a class or a variable of the user's code gives. Raises Refused."""
    where, _, name = spec.rpartition(":")
    module = module_of(where)
    value = attribute(spec, module, name)
    parent, _, last = name.rpartition(".")
    method = method_named(attribute(spec, module, parent), last, value) if parent else None
    if method is not None:
        return traced_method(python_model(spec.rpartition(".")[0], request), method)
    make, arguments = factory(spec, value, request)
    built = build_first(spec, make, request.rules)
    called = built.call.arguments if built.call else {}
    sure = not request.given or image_size_of({**arguments, **called}) is not None
    # the arguments of the model's class say what to feed it, else those of the factory
    recipe = Recipe(spec, make, built, lambda one: guessed_plans(one, request, image_size_of(arguments)), sure=sure)
    turnable = not isinstance(value, type) and any(isinstance(one, (int, tuple, list)) for one in arguments.values())
    made_of = any(isinstance(one, dict) for one in arguments.values())
    # else those of the class are turned
    if made_of or (turnable and (len(called) <= len(arguments) or image_places(arguments))):

        def vary(changes: Changes) -> object:
            return value(**with_objects(change_values(arguments, changes)))

        recipe = replace(recipe, arguments=arguments, vary=vary)
    return assemble(recipe, request)


def factory(spec: str, value: Any, request: Request) -> tuple[Callable[[], object], dict[str, Any]]:
    """What makes the model, and its arguments: those given and the defaults of the rest. Raises Refused."""
    from torch import nn

    if isinstance(value, nn.Module):
        if request.assigned:
            raise refuse("not-callable", f"{spec} is a model already: --set has nothing to set")
        return lambda: copy.deepcopy(value), {}  # theirs stays as it is
    if not callable(value):
        raise refuse("not-a-model", f"{spec} is {typed_text(value)}, not a function or class that makes a model")
    values = assignments.call_values(request.assigned, value)
    parameters = assignments.signature_of(value) or {}
    unset = [name for name, one in parameters.items() if one.default is None and name in request.flags]
    values = required_values(request.flags, [*assignments.missing(parameters, values), *unset]) | values
    if lacking := assignments.missing(parameters, values):
        help = " ".join(f"--set {name}=…" for name in lacking)
        more = "or name a function of yours that calls it: FILE.py:NAME"
        raise refuse("missing-hyperparameter", f"{spec} needs {', '.join(lacking)}", help=(help, more))
    kept = {name: one.default for name, one in parameters.items() if one.default is not inspect.Parameter.empty}
    return lambda: value(**with_objects(values)), {**kept, **values}


def attribute(spec: str, module: ModuleType, name: str) -> Any:
    """What the module has under that name. Raises Refused."""
    value: Any = module
    shown = spec.rpartition(":")[0]
    for part in name.split("."):
        if not hasattr(value, part):
            message = f"{shown} has no {part}" if part else f"{spec} names nothing after the colon"
            raise refuse("no-such-name", message, help=_instead(value, part, module))
        value, shown = getattr(value, part), f"{shown}{':' if value is module else '.'}{part}"
    return value


def _instead(value: Any, part: str, module: ModuleType) -> tuple[str, ...]:
    """What there is in place of a name that a module or class does not have."""
    own = [one for one in getattr(value, "__dict__", ()) if one[0] != "_" and callable(getattr(value, one, None))]
    makers = [one for one in own if getattr(getattr(value, one), "__module__", None) == module.__name__] or own
    if not own:
        inner = [one.name for one in pkgutil.iter_modules(getattr(value, "__path__", []))]
        return (f"its modules are {', '.join(inner[:8])}",) if inner else ()
    near = did_you_mean(part, makers) or did_you_mean(part, own) if part else ()
    return near or (f"it has {', '.join(makers[:8])}",)
