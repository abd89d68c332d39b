"""Captures the facts where Python itself raised: an unpacking that does not fit, a missing key, a `raise`."""

import ast
import contextlib
import inspect
import linecache
import re
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from itertools import islice
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from vit_trace.base.trace import Operand, Source, Value
from vit_trace.record.meta.tensors import are_sizes, dtype_name, leaves, shape_of, size_texts
from vit_trace.record.raised.expressions import Link, parsed, resolved
from vit_trace.record.raised.names import names_nearby, refused_by_python
from vit_trace.record.source import frames

MOST_VALUES = 40
LINES_BEFORE = 6
"""Lines above a `raise` that are searched for the numbers that led to it."""

ASSERTIONS = {"_assert", "_assert_async"}
NUMBERED_ATTRIBUTE = re.compile(r"\bself\.(\w+)")
COUNTED = re.compile(r"\bgot (\d+)\)")
MOST_KEYS = 20


@dataclass
class Captured:
    """The facts of one failing call; empty where the traceback does not tell."""

    call: str = ""
    operands: list[Operand] = field(default_factory=list)
    arguments: dict[str, Value] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    traceback: tuple[str, ...] = ()


def capture_python(
    found: Captured, error: BaseException, last: Link, own: Link | None, names: Mapping[int, str]
) -> None:
    """An unpacking that does not fit, a place that is not there, a `raise` or `assert`, any other error of the code."""
    listing, places = frames.instructions(last.frame.f_code)
    instruction = listing[places.get(last.lasti, 0)]
    operation = instruction.opname if frames.is_own(last.frame) else ""
    if operation == "UNPACK_SEQUENCE":
        found.call = "unpack"
        found.arguments["names"] = int(instruction.arg or 0)
        _capture_unpacking(found, error, last, names)
    elif operation == "RAISE_VARARGS" or last.frame.f_code.co_name in ASSERTIONS:
        found.call = "raise"
    elif own is not None and isinstance(error, LookupError):
        _capture_subscript(found, own)
    elif isinstance(error, (TypeError, AttributeError)) and last.module is not None and own is not last:
        _capture_given(found, last, names)
        if "forward()" in str(error):
            with contextlib.suppress(TypeError, ValueError):  # not written in Python
                found.arguments["signature"] = f"forward{inspect.signature(last.module.forward)}"
    if not found.call and own is not None and refused_by_python(error, last, own):
        found.call = "python"
        found.arguments |= names_nearby(error, last, own)
    if found.call not in ("unpack", "forward") and own is not None:
        _capture_mentioned(found, own, names)


def _capture_unpacking(found: Captured, error: BaseException, last: Link, names: Mapping[int, str]) -> None:
    """`b, n, c = x.shape`: how many values there are, and the tensors on the right."""
    if (counted := COUNTED.search(str(error))) is not None:
        found.arguments["count"] = int(counted[1])
    targets = frames.span(last.frame.f_code, last.lasti)
    statement = assignment(targets) if targets else None
    if statement is None:
        return
    found.arguments["targets"] = ast.unparse(statement.targets[0]).strip("()")
    found.arguments["value"] = ast.unparse(statement.value)
    source = _gone_through(statement.value)
    if source is not statement.value:
        found.arguments["source"] = ast.unparse(source)
    held = _unpackable(source, last.frame)
    if isinstance(held, Tensor):
        found.arguments["count"] = shape_of(held)[0] if held.ndim else 0
    elif isinstance(held, Sized):
        found.arguments["count"] = len(held)
    elif isinstance(held, (int, float)):
        found.arguments["number"] = held
    for node in ast.walk(statement.value):
        for inner, tensor in islice(leaves(resolved(node, last.frame)), 8):
            found.operands.append(_plain_operand(ast.unparse(node) + inner, tensor, names))


def _gone_through(node: ast.expr) -> ast.expr:
    """What a `map(f, parts)` or `(f(part) for part in parts)` goes through one by one; else the expression itself."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "map" and len(node.args) == 2:
        return node.args[1]
    if isinstance(node, (ast.GeneratorExp, ast.ListComp)) and len(node.generators) == 1 and not node.generators[0].ifs:
        return node.generators[0].iter
    return node


def _unpackable(node: ast.expr, frame: FrameType) -> object:
    """What is unpacked, if that can be told without running code of the model: a variable, `x.shape[1:]`, a tuple."""
    if isinstance(node, (ast.Tuple, ast.List)):
        return None if any(isinstance(one, ast.Starred) for one in node.elts) else node.elts
    if isinstance(node, ast.Subscript):
        whole = _unpackable(node.value, frame)
        if isinstance(whole, torch.Size):
            with contextlib.suppress(IndexError, TypeError, ValueError):
                return whole[_literal(node.slice)]
        return None
    whole_size = isinstance(node, ast.Call) and not (node.args or node.keywords)
    shape = node.func if isinstance(node, ast.Call) else node
    if isinstance(shape, ast.Attribute) and shape.attr == ("size" if whole_size else "shape"):
        owner = resolved(shape.value, frame)
        if isinstance(owner, Tensor):
            return torch.Size(shape_of(owner))
    return resolved(node, frame)


def _literal(node: ast.expr) -> Any:
    """A number, a text or a slice as it is written; None for anything else."""
    try:
        if isinstance(node, ast.Slice):
            bounds = (node.lower, node.upper, node.step)
            return slice(*(None if one is None else ast.literal_eval(one) for one in bounds))
        return ast.literal_eval(node)
    except ValueError:
        return None


def assignment(targets: Source) -> ast.Assign | None:
    """The assignment whose targets these are."""
    lines = linecache.getlines(targets.file)
    for end in range(targets.end_line, targets.end_line + 6):
        text = "".join(lines[targets.line - 1 : end])[targets.column :].strip()
        with contextlib.suppress(SyntaxError, ValueError, IndexError):
            node = ast.parse(text).body[0]
            return node if isinstance(node, ast.Assign) else None
    return None


def _capture_given(found: Captured, last: Link, names: Mapping[int, str]) -> None:
    """What torch's own forward got as its first argument, where that is no tensor."""
    code = last.frame.f_code
    if code.co_name == "forward" and code.co_argcount > 1 and "torch" in str(type(last.module).__module__).split("."):
        given = last.frame.f_locals.get(name := code.co_varnames[1])
        if isinstance(given, (tuple, list, dict, type(None))):
            found.call = "forward"
            found.arguments["given"] = type(given).__name__
            found.arguments["held"] = [0, sum(1 for _ in islice(leaves(given), 8))]
            found.operands = [_plain_operand(name + inner, tensor, names) for inner, tensor in islice(leaves(given), 8)]


def _capture_subscript(found: Captured, last: Link) -> None:
    """`features[4]`, `x.shape[3]`, `outputs["feat"]` of Python's own: what was asked for, and what there is."""
    source = frames.span(last.frame.f_code, last.lasti)
    node = parsed(source) if source else None
    if not isinstance(node, ast.Subscript):
        return
    found.call = "subscript"
    found.arguments["value"] = ast.unparse(node.value)
    place = _literal(node.slice)
    place = resolved(node.slice, last.frame) if place is None else place
    if isinstance(place, (int, str)):
        found.arguments["place"] = place
    held = _unpackable(node.value, last.frame)
    if isinstance(held, (nn.ModuleDict, nn.ParameterDict)):
        held = dict.fromkeys(held.keys())
    if isinstance(held, Mapping):
        found.arguments["keys"] = [str(key) for key in islice(held, MOST_KEYS)]
    elif isinstance(held, Sized) and not isinstance(node.value, (ast.Tuple, ast.List)):
        found.arguments["count"] = len(held)


def _capture_mentioned(found: Captured, own: Link, names: Mapping[int, str]) -> None:
    """Tensors among the variables that the raising line names."""
    source = frames.span(own.frame.f_code, own.lasti)
    for name in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", source.text if source else "")):
        if isinstance(value := own.frame.f_locals.get(name), Tensor):
            found.operands.append(_plain_operand(name, value, names))


def _plain_operand(name: str, tensor: Tensor, names: Mapping[int, str]) -> Operand:
    shape = shape_of(tensor)
    return Operand(name, shape, size_texts(shape), dtype_name(tensor.dtype), names.get(id(tensor), ""))


def numbers(link: Link) -> dict[str, Value]:
    """Whole numbers of a frame: its variables, and attributes of `self` that the lines up to the failure mention."""
    frame = link.frame
    known = {name: value for name, value in frame.f_locals.items() if not name.startswith("__")}
    line, last = frames.positions(frame.f_code)[link.lasti // 2][:2]
    lines = range(max(frame.f_code.co_firstlineno, (line or 0) - LINES_BEFORE), (last or line or 0) + 1)
    text = "".join(linecache.getline(frame.f_code.co_filename, number) for number in lines)
    held = getattr(frame.f_locals.get("self"), "__dict__", {})
    known |= {f"self.{name}": held.get(name) for name in NUMBERED_ATTRIBUTE.findall(text)}
    wanted = ((name, value) for name, value in known.items() if type(value) is int or are_sizes(value))
    return {name: [*value] if isinstance(value, tuple) else value for name, value in islice(wanted, MOST_VALUES)}
