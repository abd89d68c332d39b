"""What is known at the moment a forward raises: the failing call, its operands as written, sizes, numbers, modules.

Reads the traceback once, after the failure; an ordinary forward pays nothing for it. Keeps shapes and texts, no tensor.
Reads attributes from instance dictionaries only, so that no code of the model runs.
"""

from __future__ import annotations

import ast
import linecache
import re
import traceback as tracebacks
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

from torch import Tensor, nn

from vit_trace.tracing import frames
from vit_trace.tracing.recorder import CALL_IMPL, Recorder
from vit_trace.tracing.schema import Operand, Source, Value
from vit_trace.tracing.tensors import DTYPES, SIZES, leaves, shape_of

MOST_VALUES = 40
LINES_BEFORE = 6
"""Lines above a `raise` in which the numbers that led to it are looked for."""

NUMBERED_ATTRIBUTE = re.compile(r"\bself\.(\w+)")


@dataclass
class Captured:
    """The facts of one failing call; empty where the traceback does not tell."""

    call: str = ""
    operands: list[Operand] = field(default_factory=list)
    arguments: dict[str, Value] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    traceback: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """One frame of a traceback: where it stands, and in which module call."""

    frame: FrameType
    lasti: int
    module: nn.Module | None


def captured(error: BaseException, cause: BaseException, recorder: Recorder) -> Captured:
    """The facts of the call that raised: `cause` is the exception that became `error`, or the same one."""
    found = Captured(traceback=tuple(account(error)))
    links = list(walk(cause.__traceback__, recorder.root))
    if not links:
        return found
    found.modules = [
        f"{known.path or '(root)'} ({known.operation})"
        for link in walk(error.__traceback__, recorder.root)
        if link.frame.f_code is CALL_IMPL and (known := recorder.known.get(id(link.module)))
    ]
    own = next((link for link in reversed(links) if is_own(link.frame)), None)
    if own is not None:
        found.values = numbers(own)
    names = tensor_names(recorder.model)
    torch_call = next((link for link in reversed(links) if link.frame.f_code is FUNCTION), None)
    einops_call = next((link for link in links if is_einops(link.frame)), None)
    inside = own is None or torch_call is None or links.index(torch_call) > links.index(own)
    if einops_call is not None:
        capture_einops(found, einops_call, own, names)
    elif torch_call is not None and inside and function_name(torch_call) not in ASSERTIONS:
        capture_function(found, torch_call, own, names)
    else:
        capture_python(found, links[-1], own, names)
    return found


FUNCTION: CodeType = Recorder.__torch_function__.__code__
ASSERTIONS = {"_assert", "_assert_async"}


def function_name(link: Link) -> str:
    """The name of the torch function that a frame of the recorder's mode was handed."""
    return str(getattr(link.frame.f_locals.get("func"), "__name__", "?"))


def walk(traceback: TracebackType | None, root: CodeType) -> Iterator[Link]:
    """The frames below the recorder's own, each with the module whose forward it runs in.

    The traceback of an exception that the model caught starts below the recorder.
    """
    below, module = not passes(traceback, root), None
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code is CALL_IMPL:
            module = frame.f_locals.get("self")
        if below:
            yield Link(frame, traceback.tb_lasti, module)
        below = below or frame.f_code is root
        traceback = traceback.tb_next


def passes(traceback: TracebackType | None, root: CodeType) -> bool:
    while traceback is not None and traceback.tb_frame.f_code is not root:
        traceback = traceback.tb_next
    return traceback is not None


def account(error: BaseException) -> list[str]:
    """Python's traceback as text, without the recorder's own frames."""
    summary = tracebacks.TracebackException.from_exception(error)
    for one in (summary, summary.__cause__, summary.__context__):
        if one is not None:
            ours = [frame for frame in one.stack if not is_machinery(frame.filename)]
            one.stack = tracebacks.StackSummary.from_list(ours)
    try:
        return [line for chunk in summary.format() for line in chunk.splitlines()]
    except Exception:
        return [f"{type(error).__name__}: its traceback could not be written"]


def is_machinery(filename: str) -> bool:
    return filename.startswith(frames.MACHINERY) and filename != frames.MODEL_FILE


def is_own(frame: FrameType) -> bool:
    return frames.owner(frame.f_code.co_filename) == frames.OWN


def is_einops(frame: FrameType) -> bool:
    if frames.owner(frame.f_code.co_filename) != frames.EINOPS:
        return False
    return any(name in frame.f_locals for name in ("pattern", "tensors_and_pattern")) or "self" in frame.f_locals


def tensor_names(model: nn.Module) -> dict[int, str]:
    """Names of parameters and buffers by identity."""
    names = {id(buffer): name for name, buffer in model.named_buffers()}
    return names | {id(parameter): name for name, parameter in model.named_parameters()}


# -- a torch function ----------------------------------------------------------------------------------------------


def capture_function(found: Captured, link: Link, own: Link | None, names: Mapping[int, str]) -> None:
    """The function, its tensors with their expressions, its plain arguments."""
    values = link.frame.f_locals
    func, args, kwargs = values.get("func"), values.get("args") or (), values.get("kwargs") or {}
    found.call = str(getattr(func, "__name__", "")) or "?"
    given = {f"[{place}]": value for place, value in enumerate(args)} | dict(kwargs)
    expressions = written(own, func) if own is not None and called_by(link.frame, own.frame) else {}
    for path, value in given.items():
        tensors = list(islice(leaves(value), 32))
        for inner, tensor in tensors:
            found.operands.append(operand(path + inner, tensor, own, expressions, names))
        if not tensors and (plain := plain_value(value)) is not NOTHING:
            found.arguments[path] = plain  # type: ignore[assignment]
    weight_names(found, link.module, names)


def called_by(frame: FrameType, own: FrameType) -> bool:
    """Whether the model's own frame made the torch call itself, not a module of a library."""
    caller = frame.f_back
    while caller is not None and caller is not own and caller.f_code is not CALL_IMPL:
        caller = caller.f_back
    return caller is own


def weight_names(found: Captured, module: nn.Module | None, names: Mapping[int, str]) -> None:
    """In a layer of torch the first operand is its input."""
    if module is None or not found.operands or found.operands[0].name or found.operands[0].parameter:
        return
    first = found.operands[0]
    found.operands[0] = Operand("input", first.shape, first.dims, first.dtype, first.parameter, first.stage, first.span)


def operand(
    path: str, tensor: Tensor, own: Link | None, expressions: Mapping[str, Expression], names: Mapping[int, str]
) -> Operand:
    """One tensor of a call, with its text and the parameter that it is or shows a part of."""
    expression = expressions.get(path)
    parameter = names.get(id(tensor), "")
    base = tensor._base
    if not parameter and base is not None:
        parameter = names.get(id(base), "")
    if not parameter and expression is not None and own is not None:
        parameter = parameter_behind(expression.node, own, names)
    name = expression.text if expression else parameter or ("" if path == "[0]" else path.strip("[]'"))
    shape = shape_of(tensor)
    return Operand(
        name, shape, SIZES[shape], DTYPES[tensor.dtype], parameter, None, expression.span if expression else None
    )


NOTHING = object()


def plain_value(value: object) -> object:
    """A number, a text, a list of numbers; NOTHING for anything else."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)) and all(isinstance(item, (bool, int, float)) for item in value):
        return [*value]
    return NOTHING


# -- an einops call ------------------------------------------------------------------------------------------------


def capture_einops(found: Captured, link: Link, own: Link | None, names: Mapping[int, str]) -> None:
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
    for name, length in dict(lengths).items():
        if isinstance(length, int):
            found.arguments[str(name)] = length
    expressions = written(own, None) if own is not None and called_by(link.frame, own.frame) else {}
    for place, value in enumerate(given):
        for inner, tensor in islice(leaves(value), 32):
            found.operands.append(operand(f"[{place}]{inner}", tensor, own, expressions, names))


# -- Python's own --------------------------------------------------------------------------------------------------


def capture_python(found: Captured, last: Link, own: Link | None, names: Mapping[int, str]) -> None:
    """An unpacking that does not fit, a `raise` or `assert`, or any other error of the code itself."""
    instruction = at(last)
    if instruction == "UNPACK_SEQUENCE":
        found.call = "unpack"
        capture_unpacking(found, last, names)
    elif raised_by_hand(last) or last.frame.f_code.co_name in ASSERTIONS:
        found.call = "raise"
    if found.call != "unpack" and own is not None:
        capture_mentioned(found, own, names)


def at(link: Link) -> str:
    """The name of the instruction that raised."""
    listing, places = frames.instructions(link.frame.f_code)
    return listing[places.get(link.lasti, 0)].opname


def raised_by_hand(last: Link) -> bool:
    """Whether a `raise` or an `assert` of the model's code made the exception."""
    return at(last) == "RAISE_VARARGS" and is_own(last.frame)


def capture_unpacking(found: Captured, last: Link, names: Mapping[int, str]) -> None:
    """`b, n, c = x.shape`: how many names there are, and the tensor."""
    listing, places = frames.instructions(last.frame.f_code)
    found.arguments["names"] = int(listing[places[last.lasti]].arg or 0)
    targets = frames.span(last.frame.f_code, last.lasti)
    statement = assignment(targets) if targets else None
    if statement is None:
        return
    found.arguments["targets"] = ast.unparse(statement.targets[0]).strip("()")
    found.arguments["value"] = ast.unparse(statement.value)
    for node in ast.walk(statement.value):
        for inner, tensor in islice(leaves(resolved(node, last.frame)), 8):
            name = ast.unparse(node) + inner
            shape = shape_of(tensor)
            found.operands.append(Operand(name, shape, SIZES[shape], DTYPES[tensor.dtype], names.get(id(tensor), "")))


def assignment(targets: Source) -> ast.Assign | None:
    """The assignment whose targets these are."""
    first = linecache.getline(targets.file, targets.line)[targets.column :]
    for end in range(targets.end_line, targets.end_line + 6):
        text = first + "".join(linecache.getline(targets.file, line) for line in range(targets.line + 1, end + 1))
        try:
            node = ast.parse(text.strip()).body[0]
        except (SyntaxError, ValueError, IndexError):
            continue
        return node if isinstance(node, ast.Assign) else None
    return None


def capture_mentioned(found: Captured, own: Link, names: Mapping[int, str]) -> None:
    """Tensors among the variables that the raising line names."""
    source = frames.span(own.frame.f_code, own.lasti)
    if source is None:
        return
    for name in dict.fromkeys(re.findall(r"[A-Za-z_]\w*", source.text)):
        value = own.frame.f_locals.get(name)
        if isinstance(value, Tensor):
            shape = shape_of(value)
            found.operands.append(Operand(name, shape, SIZES[shape], DTYPES[value.dtype], names.get(id(value), "")))


def numbers(link: Link) -> dict[str, Value]:
    """Whole numbers of a frame: its variables, and attributes of `self` that the lines up to the failure mention."""
    frame = link.frame
    found: dict[str, Value] = {}
    for name, value in frame.f_locals.items():
        if not name.startswith("__") and is_number(value):
            found[name] = [*value] if isinstance(value, tuple) else value
    line = frames.positions(frame.f_code)[link.lasti // 2][0] or 0
    first = max(frame.f_code.co_firstlineno, line - LINES_BEFORE)
    text = "".join(linecache.getline(frame.f_code.co_filename, number) for number in range(first, line + 1))
    this = frame.f_locals.get("self")
    for name in dict.fromkeys(NUMBERED_ATTRIBUTE.findall(text)):
        value = vars(this).get(name) if hasattr(this, "__dict__") else None
        if is_number(value):
            found[f"self.{name}"] = [*value] if isinstance(value, tuple) else value
    return dict(islice(found.items(), MOST_VALUES))


def is_number(value: object) -> bool:
    """A whole number or a few of them."""
    if isinstance(value, tuple):
        return 0 < len(value) <= 6 and all(type(item) is int for item in value)
    return type(value) is int


# -- expressions ---------------------------------------------------------------------------------------------------


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
