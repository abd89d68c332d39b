"""Says where a variable of a program comes from: the output of a module, a loader, an argument that a caller gave."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from vit_trace.base.words import shape_text
from vit_trace.record.meta.tensors import shape_of
from vit_trace.record.raised.crash import Entry, held_by
from vit_trace.scripts.slices import MISSING, Scope, binders, path_to

MADE_FROM = ("is the output", "is made from the output")
"""What is said once a method or a subscript lies between."""

MOST_STEPS = 12
"""Assignments that are followed."""


def origins(entries: Sequence[Entry]) -> Iterator[str]:
    """logits 4×21×14×14 is the output of Seg (model): the tensors that the failing expression names.

    `entries` are the program's own frames, outermost first.
    """
    frame, lasti = entries[-1]
    path, scope = path_to(frame.f_code, lasti), Scope(frame)
    nodes = [*ast.walk(path[-1])] if path else []
    for node in nodes:
        if isinstance(node, ast.Call) and node is not nodes[0] and (made := _module_called(node, scope)):
            yield f"{ast.unparse(node)} is the output of {made}"
    names = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    for name in dict.fromkeys(names):
        value = scope.value(ast.Name(name, ast.Load()))
        if isinstance(value, Tensor) and (where := _origin(name, entries)):
            yield f"{name} {shape_text(shape_of(value))} {where}"


def _origin(name: str, entries: Sequence[Entry]) -> str:
    """Where the innermost frame got a variable from, as a half sentence; "" where that is not known."""
    left, whole = list(entries), True
    node: ast.AST = ast.Name(name, ast.Load())
    for _ in range(MOST_STEPS):
        if not left:
            return ""
        path = path_to(left[-1][0].f_code, left[-1][1])
        if path is None:
            return ""
        scope, root = Scope(left[-1][0]), _root_name(node)
        binder = next((one for one in binders(path) if root in one.bound), None)
        if binder is None:
            given = _given_by_caller(root, left)
            if given is None:
                return ""
            node, whole = given, whole and isinstance(given, ast.Name)
            left.pop()
            continue
        if (said := _said(binder.node, scope, root)) is not None:
            return said if whole else said.replace(*MADE_FROM)
        value = _element(binder.node, root)
        if value is None or not _root_name(_stripped(value)):
            return ""
        if _root_name(_stripped(value)) == root and binder.before is None:
            return ""
        node, whole = _stripped(value), whole and isinstance(value, ast.Name)
        if _root_name(node) == root:
            return _of_earlier(root, binder, path, scope).replace(*MADE_FROM)
    return ""


def _of_earlier(root: str, binder: Any, path: list[ast.AST], scope: Scope) -> str:
    """What bound a name before it was bound to something made of itself."""
    seen = False
    for one in binders(path):
        if one.node is binder.node:
            seen = True
        elif seen and root in one.bound and (said := _said(one.node, scope, root)) is not None:
            return said
    return ""


def _element(node: ast.AST, name: str) -> ast.AST | None:
    """What an assignment binds to a name: of a, b = x, y the one at its place."""
    value, targets = getattr(node, "value", None), getattr(node, "targets", [])
    if isinstance(value, ast.Tuple) and len(targets) == 1 and isinstance(targets[0], ast.Tuple):
        pairs = zip(targets[0].elts, value.elts, strict=False)
        return next((one for target, one in pairs if isinstance(target, ast.Name) and target.id == name), value)
    return value


def _stripped(node: ast.AST) -> ast.AST:
    """x of x.to(device), x[0], x.float()"""
    while True:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func.value
        elif isinstance(node, (ast.Subscript, ast.Attribute)):
            node = node.value
        else:
            return node


def _root_name(node: ast.AST) -> str:
    node = _stripped(node)
    return node.id if isinstance(node, ast.Name) else ""


def _said(node: ast.AST, scope: Scope, root: str) -> str | None:
    """What binds a variable, in words; None where it has to be followed."""
    if isinstance(node, (ast.For, ast.AsyncFor)):
        loader = next((one for one in ast.walk(node.iter) if _is_loader(scope.value(one))), None)
        if loader is None:
            return None
        text = ast.unparse(loader)
        return f"comes from the loader{f' {text}' if text.islower() else ''}"
    value = _element(node, root)
    for one in ast.walk(value) if value is not None else ():
        if isinstance(one, ast.Call):
            if made := _module_called(one, scope):
                return f"is {'the' if one is value else 'made from the'} output of {made}"
            if isinstance(one.func, ast.Name) and one.func.id == "next" and one.args:
                return f"comes from {ast.unparse(one.args[0])}"
    return None


def _module_called(call: ast.Call, scope: Scope) -> str:
    """Seg (model), or ViT.forward_features (vit): the module that a call is of; "" where it is of none."""
    func = call.func
    if isinstance(module := scope.value(func), nn.Module):
        return f"{type(held_by(module)).__name__} ({ast.unparse(func)})"
    if isinstance(func, ast.Attribute) and isinstance(module := scope.value(func.value), nn.Module):
        return f"{type(module).__name__}.{func.attr} ({ast.unparse(func.value)})"
    return ""


def _is_loader(value: object) -> bool:
    data = sys.modules.get("torch.utils.data")
    if value is MISSING or data is None:
        return False
    return isinstance(value, data.DataLoader) or (isinstance(value, type) and issubclass(value, data.DataLoader))


def _given_by_caller(name: str, entries: list[Entry]) -> ast.AST | None:
    """The expression that the caller gave for a parameter."""
    code = entries[-1][0].f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if name not in names or len(entries) < 2:
        return None
    path = path_to(entries[-2][0].f_code, entries[-2][1])
    call = path[-1] if path else None
    call = getattr(call, "value", call) if isinstance(call, ast.stmt) else call
    if not isinstance(call, ast.Call) or any(isinstance(one, ast.Starred) for one in call.args):
        return None
    by_name = {one.arg: one.value for one in call.keywords}
    if name in by_name:
        return by_name[name]
    place = names.index(name) - (names[:1] == ("self",))
    return call.args[place] if 0 <= place < len(call.args) else None
