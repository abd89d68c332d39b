"""Captures the facts where Python refuses a line of the model: a name that is not there, arguments that do not fit."""

import ast
import builtins
import contextlib
import inspect
import re
import sys
from collections.abc import Iterable
from types import FrameType, FunctionType

from torch import nn

from vit_trace.base.trace import Value
from vit_trace.record.raised.expressions import Link, parsed, resolved
from vit_trace.record.source import frames

REFUSALS = (AttributeError, NameError, TypeError, KeyError, ZeroDivisionError)
"""What Python raises where a line cannot be run."""

LOOKUPS = {"__getattr__"}
"""Functions of torch that look a name up for the model's line."""

QUOTED = re.compile(r"'(\w+)'")
"""The name in Python's message."""

NEAR, NEAREST = 0.8, 0.75
"""How much alike two names are, from 0 to 1, for some to be offered in place of one, and for the likest alone."""

MOST_NEAR = 3
"""Names that are offered in place of one that is not there."""


def refused_by_python(error: BaseException, last: Link, own: Link | None) -> bool:
    """Whether Python itself, or torch in its place, refused the model's own line."""
    looked_up = last.frame.f_code.co_name in LOOKUPS and own is not None and last.frame.f_back is own.frame
    return isinstance(error, REFUSALS) and (own is last or looked_up)


def names_nearby(error: BaseException, last: Link, own: Link) -> dict[str, Value]:
    """What is near: `near`, the names that may be meant; `signature`, what the function takes; `assigned`, lines.

    `hidden` is a property, of the `class`, whose own AttributeError became this one.
    """
    frame, source = own.frame, frames.span(own.frame.f_code, own.lasti)
    node = parsed(source) if source else None
    if isinstance(error, UnboundLocalError):
        name = QUOTED.findall(str(error))[0]
        return {"name": name, "assigned": [*_lines_of_assignments(frame, name)]}
    if isinstance(error, NameError):
        name = error.name or QUOTED.findall(str(error))[0]
        own_one = ["self." + name] if name in _attributes(frame.f_locals.get("self")) else []
        return {"near": own_one or _near(name, {**vars(builtins), **frame.f_globals, **frame.f_locals})}
    if isinstance(error, AttributeError):
        asked = last.frame.f_locals if last is not own else {"name": error.name, "self": error.obj}
        name = str(asked.get("name"))
        owner = asked.get("self", sys.modules.get(last.frame.f_globals["__name__"]))
        if hasattr(inspect.getattr_static(type(owner), name, None), "__get__"):
            return {"hidden": name, "class": type(owner).__qualname__}
        later = _lines_of_assignments(frame, name, attribute=True) if owner is frame.f_locals.get("self") else ()
        if later:
            return {"name": f"self.{name}", "assigned": [*later]}
        read = (one for one in ast.walk(node) if isinstance(one, ast.Attribute) and one.attr == name) if node else ()
        before = next((ast.unparse(one.value) for one in read), "")
        return {"near": [f"{before}.{one}" for one in _near(name, _attributes(owner))]}
    signature = _signature(node, frame) if isinstance(error, TypeError) and "()" in str(error) else ""
    return {"signature": signature} if signature else {}


def _signature(node: ast.AST | None, frame: FrameType) -> str:
    """self.helper(x, y): a function that is called, with the parameters that it takes; "" where it is not known."""
    if not isinstance(node, ast.Call):
        return ""
    called = resolved(node.func, frame)
    if isinstance(node.func, ast.Name):
        called = frame.f_locals.get(node.func.id, frame.f_globals.get(node.func.id))
    bound = isinstance(node.func, ast.Attribute) and called is None
    if isinstance(node.func, ast.Attribute) and bound:
        called = inspect.getattr_static(type(resolved(node.func.value, frame)), node.func.attr, None)
    if not isinstance(called, (FunctionType, type)):
        return ""
    with contextlib.suppress(TypeError, ValueError):  # not written in Python
        taken = inspect.signature(called)
        own = [*taken.parameters.values()][bound:]
        return f"{ast.unparse(node.func)}{taken.replace(parameters=own)}"
    return ""


def _near(name: str, there: Iterable[str]) -> list[str]:
    """Names much like one that is not there, the likest first."""
    from difflib import get_close_matches

    known = [one for one in there if isinstance(one, str) and one.startswith("_") <= name.startswith("_")]
    return get_close_matches(name, known, MOST_NEAR, NEAR) or get_close_matches(name, known, 1, NEAREST)


def _attributes(owner: object) -> list[str]:
    """Names of an object's attributes; runs none of its code."""
    held = [vars(owner)] if hasattr(type(owner), "__dict__") and hasattr(owner, "__dict__") else []
    if isinstance(owner, nn.Module):
        held += [owner._modules, owner._parameters, owner._buffers]
    inherited = (vars(one) for one in type(owner).__mro__)
    return [*dict.fromkeys(name for names in (*held, *inherited) for name in names)]


def _lines_of_assignments(frame: FrameType, name: str, attribute: bool = False) -> list[int]:
    """The lines of a function on which a variable, or an attribute, is assigned."""
    listing, _ = frames.instructions(frame.f_code)
    stores = (one for one in listing if (one.opname == "STORE_ATTR") is attribute and name in frames.stored(one))
    places = [one.positions for one in stores]
    return sorted({place.lineno for place in places if place is not None and place.lineno is not None})
