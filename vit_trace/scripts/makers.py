"""Finds the call in a program that made its model, so that remedies can name the arguments of that call."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import linecache
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import nn

from vit_trace.base.trace import Value
from vit_trace.diagnose.trials import Case
from vit_trace.record.build.anyhow import Built, build_anyhow
from vit_trace.record.meta.tensors import shape_of
from vit_trace.record.raised.crash import Crash, Entry, held_by
from vit_trace.record.source import frames
from vit_trace.scripts.replay import light_copy
from vit_trace.scripts.slices import MISSING, Excerpt, Scope
from vit_trace.targets.target import argument_words

FETCHING = {"pretrained": False, "weights": None, "checkpoint_path": ""}
"""Arguments that would load weights, with what leaves them away."""

MOST_CALLS = 4
"""Calls that are tried: one is taken only if it makes a model like the program's."""

READING = ("load", "pretrained", "resume")
"""Parts of the names of functions that read files; they are not called again."""


@dataclasses.dataclass(frozen=True)
class _Made:
    """A call that made a model: what was called, and with what, by name.

    One that takes `**more` also takes the arguments of the class that it hands them to: `passed`.
    """

    name: str
    make: Callable[..., Any]
    arguments: Mapping[str, Any]
    passed: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def again(self, values: Mapping[str, Value]) -> Built:
        """The same call with other arguments, on meta. Raises what it raises."""
        changed = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return build_anyhow(lambda: self.make(**{**self.arguments, **changed}))

    @property
    def hyperparameters(self) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for name, value in {**self.passed, **self.arguments}.items():
            plain = [*value] if isinstance(value, (list, tuple)) else [value]
            if name not in FETCHING and all(isinstance(one, (int, float)) for one in plain) and plain:
                found[name] = plain if isinstance(value, (list, tuple)) else value
        return found


def with_maker(crash: Crash, case: Case) -> Case:
    """The case with the hyperparameters of the call that made its model, where that is found."""
    root = case.pristine
    parts = dict(root.named_children()) if isinstance(root, Excerpt) else {"": root}
    name = max(parts, key=lambda one: sum(parameter.numel() for parameter in parts[one].parameters()), default=None)
    made = _made(crash, parts[name]) if name is not None else None
    if made is None or not made.hyperparameters:
        return case

    def build(values: Mapping[str, Value]) -> nn.Module:
        model = made.again(values).model
        if not isinstance(root, Excerpt):
            return model
        whole = light_copy(root)
        whole.add_module(str(name), model)
        return whole

    return dataclasses.replace(
        case,
        hyperparameters=made.hyperparameters,
        variant=lambda values: dataclasses.replace(case, build=lambda: build(values), cache={}),
        words=lambda name, value: f"{argument_words(name, value)} in {made.name}(…)",
    )


def _made(crash: Crash, model: nn.Module) -> _Made | None:
    """The call that makes a model like this one: one that was changed after it was made has none."""
    wanted = _likeness(model)
    for place, (entry, call) in enumerate(_calls(crash, type(model))):
        if place == MOST_CALLS:
            break
        found = _read(Scope(entry[0]), call)
        try:
            built = found.again({}) if found is not None else None
            if found is not None and built is not None and _likeness(built.model) == wanted:
                open_ended = inspect.Parameter.VAR_KEYWORD in {
                    one.kind for one in inspect.signature(found.make).parameters.values()
                }
                passed = built.call.arguments if open_ended and built.call is not None else {}
                return dataclasses.replace(found, passed=passed)
        except Exception:  # whatever the program's code raises
            continue
    return None


def _likeness(model: nn.Module) -> tuple[object, ...]:
    """The shapes of a model's parameters; of each module its class, its hooks, whether its forward was replaced."""
    modules = [
        (type(one), len(one._forward_hooks), len(one._forward_pre_hooks), "forward" in vars(one))
        for one in model.modules()
    ]
    return modules, [(name, shape_of(one)) for name, one in model.named_parameters()]


def _calls(crash: Crash, kind: type) -> Iterator[tuple[Entry, ast.Call]]:
    """Calls that bind what the program calls its model, or that call its class, in the files of its frames."""
    seen: set[str] = set()
    for entry in reversed(crash.own):
        frame = entry[0]
        file = frame.f_code.co_filename
        if file in seen or frames.is_installed(file):
            continue
        seen.add(file)
        try:
            tree = ast.parse("".join(linecache.getlines(file)))
        except (SyntaxError, ValueError):
            continue
        scope, names = Scope(frame), _names_of(crash, kind)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            bound = {getattr(one, "id", getattr(one, "attr", "")) for one in node.targets}
            if bound & names or scope.value(node.value.func) is kind:
                yield entry, node.value


def _names_of(crash: Crash, kind: type) -> set[str]:
    """Names of variables and attributes that hold a module of a class."""
    found = set()
    for frame, _ in crash.own:
        for held in (frame.f_locals, getattr(frame.f_locals.get("self"), "__dict__", {})):
            found |= {name for name, one in held.items() if isinstance(one, nn.Module) and type(held_by(one)) is kind}
    return found


def _read(scope: Scope, call: ast.Call) -> _Made | None:
    """What is called and its arguments, where all of them are known; None otherwise."""
    make = scope.value(call.func)
    name = ast.unparse(call.func)
    if make is MISSING or not callable(make) or any(word in name.lower() for word in READING):
        return None
    try:
        given = [_value(scope, one) for one in call.args]
        named: dict[str, Any] = {}
        for word in call.keywords:  # **sizes has no name
            named |= {word.arg: _value(scope, word.value)} if word.arg else dict(_value(scope, word.value))
        signature = inspect.signature(make)
        bound = signature.bind(*given, **named)
    except (TypeError, ValueError):
        return None
    arguments = dict(bound.arguments)
    for one in signature.parameters.values():
        if one.kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= arguments.pop(one.name, {})
        elif one.kind is inspect.Parameter.VAR_POSITIONAL and arguments.pop(one.name, ()):
            return None
        elif one.default is not inspect.Parameter.empty:
            arguments.setdefault(one.name, one.default)
    return _Made(name, make, arguments | {key: FETCHING[key] for key in FETCHING if key in arguments})


def _value(scope: Scope, node: ast.expr) -> Any:
    """A literal, or what a variable holds now. Raises ValueError where that is not known."""
    value = scope.value(node)
    if value is MISSING:
        value = ast.literal_eval(node)
    if isinstance(value, nn.Module):
        raise ValueError("made of other modules")
    return value
