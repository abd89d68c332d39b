"""Captures the facts of a forward that raised: the failing call, its operands as written, sizes, numbers, modules.

Reads the traceback once, after the failure. Runs no code of the model.
"""

import contextlib
import inspect
import re
import traceback as tracebacks
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from types import CodeType, FrameType, TracebackType
from typing import Any

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from vit_trace.base.trace import Operand, Value
from vit_trace.record.meta.tensors import dtype_name, leaves, shape_of, size_texts
from vit_trace.record.meta.values import known_values
from vit_trace.record.raised.expressions import Expression, Link, argument_expressions, parameter_behind
from vit_trace.record.raised.mishaps import ASSERTIONS, Captured, capture_python, numbers
from vit_trace.record.recorder import CALL_IMPL, Recorder
from vit_trace.record.source import frames

NO_TENSOR = re.compile(r"must be Tensor, not (\w+)|^'(\w+)' object has no attribute")
"""What torch and Python say where a call gets something else than a tensor."""

FUNCTION: CodeType = Recorder.__torch_function__.__code__
MOST_INDICES = 1 << 22
"""Elements of the largest index tensor whose minimum and maximum are read."""


def captured(error: BaseException, cause: BaseException, recorder: Recorder) -> Captured:
    """The facts of the call that raised: `cause` is the exception that became `error`, or the same one."""
    found = Captured(traceback=tuple(_account(error)))
    links = list(_walk(cause.__traceback__, recorder.root))
    if not links:
        return found
    found.modules = [
        f"{known.path or '(root)'} ({known.operation})"
        for link in _walk(error.__traceback__, recorder.root)
        if link.frame.f_code is CALL_IMPL and (known := recorder.known.get(id(link.module)))
    ]
    own = next((link for link in reversed(links) if frames.is_own(link.frame)), None)
    if own is not None:
        found.values = numbers(own)
    names = {id(tensor): name for name, tensor in (*recorder.model.named_buffers(), *recorder.model.named_parameters())}
    torch_call = next((link for link in reversed(links) if link.frame.f_code is FUNCTION), None)
    einops_call = next((link for link in links if _is_einops(link.frame)), None)
    called = getattr(torch_call.frame.f_locals.get("func"), "__name__", "") if torch_call is not None else ""
    inside = own is None or torch_call is None or links.index(torch_call) > links.index(own)
    if einops_call is not None:
        _capture_einops(found, einops_call, own, names)
    elif torch_call is not None and inside and called not in ASSERTIONS:
        _capture_function(found, torch_call, own, names)
        _note_container(found, torch_call, cause)
    else:
        capture_python(found, cause, links[-1], own, names)
    return found


def _walk(traceback: TracebackType | None, root: CodeType) -> Iterator[Link]:
    """The frames below the recorder's own, each with the module whose forward it runs in.

    The traceback of an exception that the model caught starts below the recorder.
    """
    module = None
    for frame, lasti in frames.entries(traceback, root):
        if frame.f_code is CALL_IMPL:
            module = frame.f_locals.get("self")
        yield Link(frame, lasti, module)


def _account(error: BaseException) -> list[str]:
    """Python's traceback as text, without the recorder's own frames."""
    summary = tracebacks.TracebackException.from_exception(error)
    for one in (summary, summary.__cause__, summary.__context__):
        if one is not None:
            ours = [frame for frame in one.stack if not frames.is_machinery(frame.filename)]
            one.stack = tracebacks.StackSummary.from_list(ours)
    try:
        return [line for chunk in summary.format() for line in chunk.splitlines()]
    except Exception:
        return [f"{type(error).__name__}: its traceback could not be written"]


def _is_einops(frame: FrameType) -> bool:
    held = {"self", "pattern", "tensors_and_pattern"}.intersection(frame.f_locals)
    return bool(held) and frames.owner(frame.f_code.co_filename) == frames.EINOPS


def _capture_function(found: Captured, link: Link, own: Link | None, names: Mapping[int, str]) -> None:
    """The function, its tensors with their expressions, its plain arguments."""
    values = link.frame.f_locals
    func, args = values.get("func"), values.get("args") or ()
    found.call = str(getattr(func, "__name__", "")) or "?"
    given = {f"[{place}]": value for place, value in enumerate(args)} | dict(values.get("kwargs") or {})
    expressions = _expressions(own, link.frame, func)
    called: dict[str, str] = {}
    with contextlib.suppress(TypeError, ValueError):  # not written in Python
        if func is not None and not found.call.startswith("__"):
            called = dict(zip(given, inspect.signature(func).parameters, strict=False))
    for path, value in given.items():
        tensors = list(islice(leaves(value), 32))
        for inner, tensor in tensors:
            one = operand(path + inner, tensor, own, expressions, names)
            if inner and path in expressions and path + inner not in expressions:
                one = replace(one, name=expressions[path].text + inner)
            if not inner and path not in expressions and not one.parameter and path != "[0]" and path in called:
                one = replace(one, name=called[path])
            found.operands.append(one)
        if path == "[1]" and found.call in ("__getitem__", "__setitem__"):
            found.arguments[path] = [_index_part(part) for part in (value if isinstance(value, tuple) else (value,))]
        elif not tensors and (value is None or isinstance(value, (bool, int, float, str))):
            found.arguments[path] = value
        elif isinstance(value, (tuple, list)) and all(isinstance(item, (bool, int, float)) for item in value):
            found.arguments[path] = [*value]
    first = found.operands[0] if found.operands else None
    if first is not None and link.module is not None and not first.name and not first.parameter:
        found.operands[0] = replace(first, name="input")  # of a layer of torch


def _note_container(found: Captured, link: Link, error: BaseException) -> None:
    """Note a tuple, or another container, that was given where a tensor is taken, and the tensors that it holds."""
    refused = NO_TENSOR.search(str(error)) if isinstance(error, (TypeError, AttributeError)) else None
    if refused is None:
        return
    kind, start = refused[1] or refused[2], 0
    for value in (*(link.frame.f_locals.get("args") or ()), *dict(link.frame.f_locals.get("kwargs") or {}).values()):
        stop = start + sum(1 for _ in islice(leaves(value), 32))
        if type(value).__name__ == kind:
            found.arguments |= {"given": kind, "held": [start, stop]}
            return
        start = stop


def _expressions(own: Link | None, frame: FrameType, func: Callable[..., Any] | None = None) -> dict[str, Expression]:
    """The arguments as written, where the model's own frame made the call itself, not a module of a library."""
    caller = frame.f_back
    while own is not None and caller is not None and caller.f_code is not CALL_IMPL:
        if caller is own.frame:
            return argument_expressions(own, func)
        caller = caller.f_back
    return {}


def operand(
    path: str, tensor: Tensor, own: Link | None, expressions: Mapping[str, Expression], names: Mapping[int, str]
) -> Operand:
    """One tensor of a call, with its text and the parameter that it is or shows a part of."""
    expression = expressions.get(path)
    parameter = names.get(id(tensor), "") or names.get(id(tensor._base), "")
    if not parameter and expression is not None and own is not None:
        parameter = parameter_behind(expression.node, own, names)
    name = expression.text if expression else parameter or _unwritten(path)
    shape, span = shape_of(tensor), expression.span if expression else None
    dtype = dtype_name(tensor.dtype)
    return Operand(name, shape, size_texts(shape), dtype, parameter, None, span, _extent(tensor))


def _unwritten(path: str) -> str:
    """What stands for an argument that has no expression of its own: the second of a list is "tensor 1"."""
    if path in ("[0]", "[2]"):
        return "" if path == "[0]" else "the value"
    last = path.strip("[]'").split("][")[-1]
    return f"tensor {last}" if last.isdigit() else last


def _extent(tensor: Tensor) -> tuple[int, int] | None:
    """The lowest and the highest of whole numbers, where they can be read: not of a tensor without values."""
    dtype = tensor.dtype
    values = known_values(tensor) if tensor.is_meta else None
    tensor = tensor if values is None else values
    if tensor.device.type != "cpu" or dtype.is_floating_point or dtype.is_complex or dtype is torch.bool:
        return None
    if type(tensor) not in (Tensor, nn.Parameter) or not 0 < tensor.numel() <= MOST_INDICES:
        return None
    lowest, highest = tensor.aminmax()
    return int(lowest), int(highest)


def _index_part(part: object) -> Value:
    """A part of a subscript: a whole number, "None", "...", "start:stop:step", or "tensor"."""
    if isinstance(part, slice):
        return ":".join("" if one is None else str(one) for one in (part.start, part.stop, part.step))
    if part is None or part is Ellipsis:
        return "None" if part is None else "..."
    return part if type(part) is int else "tensor" if isinstance(part, Tensor) else type(part).__name__


def _capture_einops(found: Captured, link: Link, own: Link | None, names: Mapping[int, str]) -> None:
    """The pattern, the axis lengths given, the tensors."""
    values = link.frame.f_locals
    module = values.get("self")
    if isinstance(module, nn.Module):
        found.call = type(module).__name__
        found.arguments["pattern"] = str(getattr(module, "pattern", ""))
        lengths = vars(module).get("axes_lengths") or vars(module).get("_axes_lengths") or {}
        given: tuple[object, ...] = (values.get("input", values.get("x")),)
    else:
        found.call, pattern, given = frames.einops_call(link.frame)
        found.arguments["pattern"] = pattern
        lengths = values.get("axes_lengths") or {}
    found.arguments |= {str(name): length for name, length in dict(lengths).items() if isinstance(length, int)}
    expressions = _expressions(own, link.frame)
    for place, value in enumerate(given):
        for inner, tensor in islice(leaves(value), 32):
            found.operands.append(operand(f"[{place}]{inner}", tensor, own, expressions, names))
