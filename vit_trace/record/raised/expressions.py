"""Reads the failing call as it is written: its arguments' expressions, and what a variable in them holds."""

import ast
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

from torch import Tensor, nn

from vit_trace.base.trace import Source
from vit_trace.record.meta.tensors import attribute_of
from vit_trace.record.source import frames


@dataclass(frozen=True)
class Link:
    """One frame of a traceback: where it stands, and the module whose forward it runs in."""

    frame: FrameType
    lasti: int
    module: nn.Module | None


@dataclass(frozen=True)
class Expression:
    """An argument as written, and where."""

    node: ast.expr
    text: str
    span: Source | None


def argument_expressions(own: Link, func: Callable[..., Any] | None) -> dict[str, Expression]:
    """The expressions of a call's arguments, by the path that the values have: [0], [1][2], dim."""
    source = frames.span(own.frame.f_code, own.lasti)
    node = parsed(source) if source else None
    if source is None or node is None:
        return {}
    found: dict[str, ast.expr] = {}
    if isinstance(node, ast.AugAssign):
        found = {"[0]": node.target, "[1]": node.value}
    elif isinstance(node, ast.BinOp):
        reflected = getattr(func, "__name__", "").startswith("__r")
        found = dict(zip(("[1]", "[0]") if reflected else ("[0]", "[1]"), (node.left, node.right), strict=True))
    elif isinstance(node, ast.Compare) and len(node.comparators) == 1:
        found = {"[0]": node.left, "[1]": node.comparators[0]}
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        # the call is of this function, not of a helper that uses it; einops' names are known already
        if func is None or name.strip("_") == str(getattr(func, "__name__", "")).strip("_"):
            found = _call_arguments(node, own.frame)
    elif isinstance(node, ast.Subscript):
        found = {"[0]": node.value, "[1]": node.slice}
        if isinstance(node.slice, ast.Tuple):
            found |= {f"[1][{place}]": part for place, part in enumerate(node.slice.elts)}
    shift = 0 if isinstance(node, ast.AugAssign) else 1
    return {path: _located(source, each, shift) for path, each in found.items()}


def parsed(source: Source) -> ast.AST | None:
    """The expression or the `x += y` of a span; positions count from the span's start, one column further."""
    for text in (f"({source.text}\n)", source.text):
        with contextlib.suppress(SyntaxError, ValueError):
            [body] = ast.parse(text).body
            return body.value if isinstance(body, ast.Expr) else body
    return None


def _call_arguments(node: ast.Call, frame: FrameType) -> dict[str, ast.expr]:
    """The arguments of a call; for a method of a tensor it comes first."""
    values = list(node.args)
    if isinstance(node.func, ast.Attribute) and not _is_namespace(node.func.value, frame):
        values.insert(0, node.func.value)
    found: dict[str, ast.expr] = {}
    for place, value in enumerate(values):
        found[f"[{place}]"] = value
        if isinstance(value, (ast.Tuple, ast.List)):
            found |= {f"[{place}][{inner}]": element for inner, element in enumerate(value.elts)}
    return found | {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}


def _is_namespace(node: ast.expr, frame: FrameType) -> bool:
    """Whether `torch.` in `torch.cat`, or `self` in `self.proj(x)`."""
    root = node
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name):
        return False
    value = frame.f_locals.get(root.id, frame.f_globals.get(root.id))
    if isinstance(value, nn.Module):
        return not isinstance(resolved(node, frame), Tensor)
    return isinstance(value, ModuleType)


def _located(source: Source, node: ast.expr, shift: int) -> Expression:
    """A node with its text, and its span within a source of one line, where it stands `shift` columns further left."""
    if "\n" in source.text:
        return Expression(node, ast.unparse(node), None)
    text = source.text.encode()
    ends = (node.col_offset - shift, (node.end_col_offset or 0) - shift)
    start, stop = (len(text[:end].decode(errors="ignore")) for end in ends)
    span = None
    if source.line == source.end_line and len(source.text) == source.end_column - source.column:
        columns = source.column + start, source.column + stop
        span = Source(source.file, source.line, source.line, *columns, source.text[start:stop])
    return Expression(node, source.text[start:stop], span)


def resolved(node: ast.AST, frame: FrameType) -> object:
    """The value of a variable, or of an attribute chain of one, without running code of the model."""
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(node, ast.Attribute):
        owner = resolved(node.value, frame)
        return attribute_of(owner, node.attr) if isinstance(owner, nn.Module) else None
    return None


def parameter_behind(node: ast.expr, own: Link, names: Mapping[int, str]) -> str:
    """The parameter that an expression such as `self.pos_embedding[:, :n].to(x)` starts from."""
    while True:
        value = resolved(node, own.frame)
        if isinstance(value, Tensor):
            return names.get(id(value), "")
        if isinstance(node, ast.Subscript) or (isinstance(node, ast.Attribute) and value is None):
            node = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func.value
        else:
            return ""
