"""Checks the names of --set and of flags for a library's model, and gives values the type of what they replace."""

import ast
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, get_args

from vit_trace.base.refused import Refused, refuse
from vit_trace.base.roles import same_role
from vit_trace.base.words import whole_number
from vit_trace.targets.complaints import did_you_mean

KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "none"}
"""The types that --set can give, in words."""

WORDS = {"true": True, "false": False, "none": None, "null": None, "yes": True, "no": False}


def literal(text: str) -> Any:
    """The value of a text: a Python literal, true, none; 224x224 as a pair; else the text itself."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        return ast.literal_eval(text)
    sides = text.replace("×", "x").split("x")
    if len(sides) > 1 and all(side.isdigit() for side in sides):
        return tuple(map(whole_number, sides))
    return text


def typed(name: str, text: str, like: Any = inspect.Parameter.empty, annotation: Any = "") -> Any:
    """The text as the type of what it replaces. Raises Refused where it has another type."""
    value = literal(text)
    wants = _wanted(like, annotation)
    if wants == {str}:
        return text
    if wants:
        if float in wants and int not in wants and type(value) is int:
            value = float(value)
        if bool in wants and not wants & {int, float} and type(value) is not bool and value in (0, 1):
            value = bool(value)
        if str in wants and type(value) not in wants:
            return text
        if type(value) not in wants:
            takes = " or ".join(KINDS[kind] for kind in KINDS if kind in wants)
            shown = "" if like is inspect.Parameter.empty else f" (it is {like!r})"
            raise refuse("bad-value", f"--set {name}={text}: {name} takes {takes}{shown}")
    square = type(like) in (list, tuple) and len(like) == 2 and all(type(one) is int for one in like)
    if type(value) is int and square and like[0] == like[1]:  # one number may stand for both
        return type(like)((value, value))
    if isinstance(like, (list, tuple)) and isinstance(value, (list, tuple)):
        return list(value) if isinstance(like, list) else tuple(value)
    return value


def _wanted(like: Any, annotation: Any) -> set[type]:
    """The types that a parameter takes, by its annotation or else its default; none where it takes anything."""
    if annotation in ("", inspect.Parameter.empty, None):
        return {type(like)} if type(like) in (float, bool) else set()
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    if not isinstance(annotation, (str, type)) or get_args(annotation):
        text = str(annotation)
    alternatives = re.sub(r"(typing\.)?(Optional|Union)\[(.*)\]$", r"\3|\2", text.replace(" ", "")).split("|")
    if "Union" in alternatives:
        alternatives = [one for part in alternatives[:-1] for one in part.split(",")]
    plain = {kind.__name__: kind for kind in KINDS} | {"None": type(None), "NoneType": type(None)}
    if "Optional" in alternatives:
        alternatives = [*alternatives[:-1], "None"]
    if not all(one in plain for one in alternatives):
        return set()
    found = {plain[one] for one in alternatives}
    return found | ({type(None)} if like is None else set())


def call_values(given: Mapping[str, str], function: Callable[..., Any]) -> dict[str, Any]:
    """The values of --set for a call, typed by its signature. Raises Refused for an unknown name."""
    parameters = signature_of(function)
    values = {}
    for name, text in given.items():
        parameter = (parameters or {}).get(name)
        if parameter is not None and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            values[name] = typed(name, text, parameter.default, parameter.annotation)
        elif parameters is None or open_ended(parameters):
            values[name] = literal(text)
        else:
            raise unknown(name, named(parameters), getattr(function, "__name__", "it"))
    return values


def open_ended(parameters: Mapping[str, inspect.Parameter]) -> bool:
    """Whether any other name can be given: `**kwargs`."""
    return any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())


def signature_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None


def named(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """Names of the parameters that can be given by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, parameter in parameters.items() if parameter.kind in kinds]


def missing(parameters: Mapping[str, inspect.Parameter], values: Mapping[str, Any]) -> list[str]:
    """Parameters without a default that are not given."""
    empty = inspect.Parameter.empty
    return [name for name in named(parameters) if parameters[name].default is empty and name not in values]


def unknown(name: str, names: Sequence[str], owner: str) -> Refused:
    """The refusal of a hyperparameter that does not exist."""
    same = same_role(name, names)
    instead = f"did you mean {', '.join(same)}?" if same else f"it takes {', '.join(names[:20])}"
    help = did_you_mean(name, names, otherwise=instead)
    return refuse("unknown-hyperparameter", f"{owner} takes no {name}", help=help)
