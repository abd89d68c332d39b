"""Reads the `with` statements around a line: whether autocast was on there."""

from __future__ import annotations

import ast
import linecache
from types import FrameType

from vit_trace.record.source import frames


def autocast_at(frame: FrameType, lasti: int) -> bool:
    """Whether a line of a frame stands within an autocast that is not switched off."""
    code = frame.f_code
    line = frames.positions(code)[lasti // 2][0]
    text = "".join(linecache.getlines(code.co_filename))
    if line is None or "autocast" not in text:
        return False
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    for node in ast.walk(tree):
        around = isinstance(node, (ast.With, ast.AsyncWith)) and node.lineno <= line <= (node.end_lineno or 0)
        if around and any(_turns_on(item.context_expr, frame) for item in node.items):  # type: ignore[attr-defined]
            return True
    return False


def _turns_on(node: ast.expr, frame: FrameType) -> bool:
    if not isinstance(node, ast.Call) or "autocast" not in ast.unparse(node.func):
        return False
    enabled = next((one.value for one in node.keywords if one.arg == "enabled"), None)
    if isinstance(enabled, ast.Constant):
        return bool(enabled.value)
    if isinstance(enabled, ast.Name):
        return bool(frame.f_locals.get(enabled.id, frame.f_globals.get(enabled.id, True)))
    return True
