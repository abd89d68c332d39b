"""Reads the failing call as it is written: its arguments' expressions, and what a variable in them holds.

Resolves names and attributes without running code of the model.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any

from torch import Tensor, nn

from vit_trace.base.trace import Source
from vit_trace.record.raised.facts import Link
from vit_trace.record.source import frames


@dataclass(frozen=True)
class Expression:
    """An argument as written, and where."""

    node: ast.expr
    text: str
    span: Source | None


def written(own: Link, func: Callable[..., Any] | None) -> dict[str, Expression]:
    """The expressions of a call's arguments, by the path that the values have: [0], [1][2], dim."""
    source = frames.span(own.frame.f_code, own.lasti)
    node = parsed(source) if source else None
    if source is None or node is None:
        return {}
    found: dict[str, ast.expr] = {}
    if isinstance(node, ast.AugAssign):
        found = {"[0]": node.target, "[1]": node.value}
    elif isinstance(node, ast.BinOp):
        pair = [node.left, node.right]
        if getattr(func, "__name__", "").startswith("__r"):
            pair.reverse()
        found = {"[0]": pair[0], "[1]": pair[1]}
    elif isinstance(node, ast.Call) and is_call_of(node, func):
        found = call_arguments(node, own.frame)
    elif isinstance(node, ast.Subscript):
        found = {"[0]": node.value, "[1]": node.slice}
        if isinstance(node.slice, ast.Tuple):
            found |= {f"[1][{place}]": part for place, part in enumerate(node.slice.elts)}
    return {path: Expression(node, text_of(source, node), span_of(source, node)) for path, node in found.items()}


def is_call_of(node: ast.Call, func: Callable[..., Any] | None) -> bool:
    """Whether a call as written is of this function, not of a helper that uses it; einops' names are known already."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return func is None or name.strip("_") == str(getattr(func, "__name__", "")).strip("_")


def parsed(source: Source) -> ast.AST | None:
    """The expression or the `x += y` of a span; positions count from the span's start, one column further."""
    for text in (f"({source.text}\n)", f" {source.text}"):
        try:
            body = ast.parse(text if text[0] == "(" else source.text).body
        except (SyntaxError, ValueError):
            continue
        if len(body) == 1:
            return body[0].value if isinstance(body[0], ast.Expr) else body[0]
    return None


def call_arguments(node: ast.Call, frame: FrameType) -> dict[str, ast.expr]:
    """The arguments of a call; for a method of a tensor it comes first."""
    values = list(node.args)
    if isinstance(node.func, ast.Attribute) and not is_namespace(node.func.value, frame):
        values.insert(0, node.func.value)
    found: dict[str, ast.expr] = {}
    for place, value in enumerate(values):
        found[f"[{place}]"] = value
        if isinstance(value, (ast.Tuple, ast.List)):
            found |= {f"[{place}][{inner}]": element for inner, element in enumerate(value.elts)}
    for keyword in node.keywords:
        if keyword.arg:
            found[keyword.arg] = keyword.value
    return found


def is_namespace(node: ast.expr, frame: FrameType) -> bool:
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


def text_of(source: Source, node: ast.expr) -> str:
    try:
        return ast.unparse(node) if "\n" in source.text else exact(source, node)
    except (ValueError, IndexError):
        return ""


def exact(source: Source, node: ast.expr) -> str:
    start, stop = columns(source, node)
    return source.text[start:stop]


def columns(source: Source, node: ast.expr) -> tuple[int, int]:
    """First and last column of a node within a span of one line, in characters."""
    shift = 0 if isinstance(parsed(source), ast.AugAssign) else 1
    text = source.text.encode()
    start, stop = node.col_offset - shift, (node.end_col_offset or 0) - shift
    return len(text[:start].decode(errors="ignore")), len(text[:stop].decode(errors="ignore"))


def span_of(source: Source, node: ast.expr) -> Source | None:
    """Where a node stands; None in a span of several lines."""
    if "\n" in source.text or source.line != source.end_line or len(source.text) != source.end_column - source.column:
        return None
    start, stop = columns(source, node)
    column = source.column
    return Source(source.file, source.line, source.line, column + start, column + stop, source.text[start:stop])


def resolved(node: ast.AST, frame: FrameType) -> object:
    """The value of a variable, or of an attribute chain of one, without running code of the model."""
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = resolved(node.value, frame)
        if isinstance(owner, nn.Module):
            values = vars(owner)
            for table in (values, *(values.get(name) or {} for name in ("_parameters", "_buffers", "_modules"))):
                if node.attr in table:
                    return table[node.attr]
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
