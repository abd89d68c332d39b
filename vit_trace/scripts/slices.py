"""Makes a forward of the lines of a program around a failing call: what is run again, and what it is given.

A line before the call is taken along only where running it again does no more than compute: calls of modules, of
torch, of tensors' methods, arithmetic. What it needs and cannot be run again is an input, as the frame holds it now.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import math
import os
from collections import UserDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import islice, pairwise
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vit_trace.record.meta.tensors import attribute_of
from vit_trace.record.raised.crash import Entry
from vit_trace.record.source import frames

HARMLESS = {
    *("len", "int", "float", "bool", "list", "tuple", "dict", "zip", "range", "max", "min", "sum", "enumerate", "abs"),
    *("isinstance", "reversed", "sorted", "any", "all", "slice", "str", "type", "round", "divmod", "hasattr"),
}
"""Functions of Python that only compute."""

LIBRARIES = ("torch", "einops", "math", "torchvision.ops", "torchvision.transforms")
UNWANTED = {
    *(
        "save",
        "load",
        "manual_seed",
        "compile",
        "backward",
        "step",
        "zero_grad",
        "numpy",
        "item",
        "tolist",
        "synchronize",
    ),
    *("share_memory_", "pin_memory", "no_grad", "init_process_group", "barrier", "all_reduce", "all_gather", "hub"),
}
"""Names of functions and methods that do more, or need values."""

MOVES = {"to", "cuda", "cpu", "type_as"}
"""Methods that move a tensor to a device, which a run without memory leaves out."""

MOST_STATEMENTS = 60
"""Lines before the failing one that are looked at."""

MOST_ITEMS = 64
"""Values of a container that are looked at."""

MISSING = object()
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Sliced(NamedTuple):
    """The forward of a few lines, what to feed it, and what its inputs and parts are called in the program."""

    step: Excerpt
    given: dict[str, Any]
    texts: dict[str, str]


class _Held:
    """What a step runs and what the program had in its variables: never copied."""

    def __init__(self, code: CodeType, name: str, scope: Mapping[str, Any]) -> None:
        self.code, self.name, self.scope = code, name, scope

    def __deepcopy__(self, memo: object) -> _Held:
        return self


class Excerpt(nn.Module):
    """A few lines of a program as a module, with the modules that they call as its parts."""

    def __init__(self, held: _Held, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.held = held
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, **given: Any) -> Any:
        scope = {**self.held.scope, **self._modules}
        exec(self.held.code, scope)
        return scope[self.held.name](**given)


def sliced(entry: Entry, reach: bool = True, through: str = "") -> Sliced | None:
    """The lines around an instruction of a frame; with `reach`, also lines before that made what it takes.

    Of a call of the method `through` they make what it is called on.
    """
    frame, lasti = entry
    path = path_to(frame.f_code, lasti)
    if path is None:
        return None
    scope = Scope(frame)
    root = path[-1].value if isinstance(path[-1], ast.Expr) else path[-1]
    before = [*_before(path)][:MOST_STATEMENTS] if reach and isinstance(path[0], (ast.Module, *_FUNCTIONS)) else []
    if through:
        found = _called_on(through, [root, *before])
        if found is None:
            return None
        root, before = found
    if not scope.computes(root, root=True):
        return None
    lines = _needed(root, before, scope)
    made = {name for line in lines for name in _bound(line)}
    return _assembled(scope, root, lines, made)


def _called_on(method: str, nodes: list[Any]) -> tuple[Any, list[ast.stmt]] | None:
    """What the nearest call of a method is called on, and the statements before it."""
    for place, node in enumerate(nodes):
        call = node.value if isinstance(node, ast.Expr) else node
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        root = None
        if call.func.attr == method:  # also accelerator.backward(loss)
            root = call.args[0] if len(call.args) == 1 else call.func.value
        if isinstance(root, ast.Call) and getattr(root.func, "attr", "") == "scale" and root.args:  # a scaler's
            root = root.args[0]
        if root is not None:
            return root, nodes[place + 1 :]
    return None


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def _tree(file: str, text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def path_to(code: CodeType, lasti: int) -> list[ast.AST] | None:
    """The nodes from the function that the code is of to the expression that the instruction evaluates."""
    line, end, column, stop = frames.positions(code)[lasti // 2]
    tree = _tree(code.co_filename, "".join(linecache.getlines(code.co_filename)))
    if tree is None or line is None or end is None or column is None or stop is None:
        return None
    path: list[ast.AST] = [tree]
    while (inner := next((one for one in _inside(path[-1]) if _spans(one, line, column, end, stop)), None)) is not None:
        path.append(inner)
    place = [getattr(path[-1], name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")]
    whole = place == [line, column, end, stop] and isinstance(path[-1], ast.expr)
    while len(path) > 1 and not (whole and _is_read(path[-1])) and not isinstance(path[-1], ast.stmt):
        path.pop()
        whole = False
    while whole and len(path) > 2 and _place(path[-2]) == _place(path[-1]) and isinstance(path[-2], ast.expr):
        path.pop()
    if not isinstance(path[-1], (ast.expr, ast.Assign, ast.AugAssign, ast.Return, ast.Expr, ast.AnnAssign)):
        return None
    start = max((at for at, one in enumerate(path[:-1]) if isinstance(one, (*_FUNCTIONS, ast.Lambda))), default=0)
    return path[start:]


def _place(node: ast.AST) -> list[Any]:
    return [getattr(node, name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")]


def _is_read(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", ast.Load()), ast.Load)


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes with places below one: those without are passed through."""
    for one in ast.iter_child_nodes(node):
        if hasattr(one, "lineno"):
            yield one
        else:
            yield from _inside(one)


def _spans(node: Any, line: int, column: int, end: int, stop: int) -> bool:
    starts = (node.lineno, node.col_offset) <= (line, column)
    return starts and (end, stop) <= (node.end_lineno, node.end_col_offset)


def _before(path: list[ast.AST]) -> Iterator[ast.stmt]:
    """The statements before the failing one, the nearest first, with the heads of the loops around it."""
    for outer, inner in reversed([*pairwise(path)]):
        for body in (getattr(outer, name, None) for name in ("body", "orelse", "finalbody")):
            if isinstance(body, list) and inner in body:
                yield from reversed(body[: body.index(inner)])
                if isinstance(outer, (ast.For, ast.AsyncFor, ast.With, ast.AsyncWith)):
                    yield _head(outer)


def _head(outer: Any) -> ast.stmt:
    """What a loop or a `with` binds, as a statement that cannot be run again."""
    if isinstance(outer, (ast.For, ast.AsyncFor)):
        return ast.For(outer.target, outer.iter, [], [])
    return ast.With(outer.items, [])


def _bound(node: ast.AST) -> set[str]:
    """Names that a statement binds, also within."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)}


def _read(node: ast.AST) -> set[str]:
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    return names | (_bound(node.target) if isinstance(node, ast.AugAssign) else set())


class Binder(NamedTuple):
    """A statement that binds variables, and the one before it."""

    node: ast.stmt
    bound: set[str]
    before: ast.stmt | None = None


def binders(path: list[ast.AST]) -> Iterator[Binder]:
    """The statements before the failing one that bind something, the nearest first."""
    found = [one for one in _before(path) if _bound(one)]
    for one, before in zip(found, [*found[1:], None], strict=False):
        yield Binder(one, _bound(one), before)


def _needed(root: ast.AST, before: list[ast.stmt], scope: Scope) -> list[ast.stmt]:
    """The statements that make what the failing one reads, in their order; those that cannot be run again left out."""
    left_out: set[int] = set()
    for _ in range(MOST_STATEMENTS):
        found, problem = _attempt(root, before, scope, left_out)
        if problem is None:
            return found
        left_out.add(id(problem))
    return []


def _attempt(
    root: ast.AST, before: list[ast.stmt], scope: Scope, left_out: set[int]
) -> tuple[list[ast.stmt], ast.stmt | None]:
    """The statements; or one that needs a value that is gone, and that nothing before it makes again."""
    needed, gone, waiting, found = _read(root), _bound(root), dict[str, ast.stmt](), list[ast.stmt]()
    for one in before:
        bound = _bound(one)
        runs = id(one) not in left_out and isinstance(one, (ast.Assign, ast.AnnAssign, ast.AugAssign))
        if runs and bound & needed and scope.computes(one) and scope.carries(_read(one)):
            found.append(one)
            waiting = {name: by for name, by in waiting.items() if name not in bound}
            needed -= bound
            reads = _read(one)
            needed |= reads
            waiting |= dict.fromkeys(reads & (gone | bound), one)
        elif hit := bound & waiting.keys():
            return [], waiting[hit.pop()]
        else:
            needed -= bound
        gone |= bound
    return found[::-1], next(iter(waiting.values()), None)


class Scope:
    """The variables of a frame, read without running code of the program."""

    def __init__(self, frame: FrameType) -> None:
        self.frame = frame
        self.names: dict[str, Any] = {**frame.f_globals, **frame.f_locals}

    def value(self, node: ast.AST) -> Any:
        """What a name, or a chain of attributes and constant places, holds; MISSING where that is not known."""
        if isinstance(node, ast.Name):
            found = self.names.get(node.id, MISSING)
            return getattr(builtins, node.id, MISSING) if found is MISSING else found
        if isinstance(node, ast.Attribute):
            owner = self.value(node.value)
            return MISSING if owner is MISSING else _attribute(owner, node.attr)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            owner = self.value(node.value)
            if type(owner) in (list, tuple) and type(node.slice.value) is int:
                return owner[node.slice.value] if -len(owner) <= node.slice.value < len(owner) else MISSING
            return owner.get(node.slice.value, MISSING) if isinstance(owner, dict) else MISSING
        return MISSING

    def computes(self, node: ast.AST, root: bool = False) -> bool:
        """Whether running it does no more than compute."""
        looped = {name for one in ast.walk(node) if isinstance(one, ast.comprehension) for name in self.modules_of(one)}
        for one in ast.walk(node):
            if isinstance(one, (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)):
                return False
            if isinstance(one, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and not (root or _binds_names(one)):
                return False
            if isinstance(one, ast.Call) and getattr(one.func, "id", "") not in looped and not self.is_harmless(one):
                return False
        return True

    def modules_of(self, loop: ast.comprehension) -> set[str]:
        """The variables of a comprehension, if it goes over modules."""
        found = any(_modules_in(self.value(one)) is not None for one in ast.walk(loop.iter))
        return _bound(loop.target) if found else set()

    def carries(self, names: set[str]) -> bool:
        """Whether some of the names hold tensors or a module: a line that makes tensors of nothing is an input."""
        held = (self.names.get(name) for name in names)
        return any(isinstance(one, nn.Module) or _holds_tensors(one) or _has_module(one) for one in held)

    def is_harmless(self, call: ast.Call) -> bool:
        func = call.func
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if name in UNWANTED:
            return False
        value = self.value(func)
        if isinstance(value, nn.Module):
            return True
        if isinstance(func, ast.Attribute):
            owner = self.value(func.value)
            if isinstance(owner, nn.Module):
                return not hasattr(nn.Module, name) or name == "forward"
            if isinstance(owner, Tensor) or owner is MISSING:
                return hasattr(Tensor, name) or name in ("get", "items", "values", "keys")
            if isinstance(owner, (dict, list, tuple, torch.Size)):
                return name in ("get", "items", "values", "keys", "index", "count", "numel")
        return _is_of_library(value) or (name in HARMLESS and value is getattr(builtins, name, None))


def _holds_tensors(value: Any, depth: int = 4) -> bool:
    """Whether there are tensors among the first values of a container: it may be a whole dataset."""
    if isinstance(value, Tensor) or not depth:
        return isinstance(value, Tensor)
    if is_dataclass(value) and not isinstance(value, type):
        inner: Iterable[Any] = [getattr(value, one.name, None) for one in fields(value)]
    elif isinstance(value, (dict, list, tuple)):
        inner = value.values() if isinstance(value, dict) else value
    else:
        return False
    return any(_holds_tensors(one, depth - 1) for one in islice(inner, MOST_ITEMS))


def _modules_in(value: Any) -> nn.Module | None:
    """A list or a dictionary of modules as a module, which can be copied."""
    if isinstance(value, (nn.ModuleList, nn.ModuleDict, nn.Sequential)):
        return value
    if isinstance(value, (list, tuple)) and value and all(isinstance(one, nn.Module) for one in value):
        return nn.ModuleList(value)
    if isinstance(value, dict) and value and all(isinstance(one, nn.Module) for one in value.values()):
        return nn.ModuleDict({str(name): one for name, one in value.items()})
    return None


def _has_module(value: Any) -> bool:
    """Whether an object of the program keeps a module: a trainer."""
    return any(isinstance(one, nn.Module) for one in getattr(value, "__dict__", {}).values())


def _attribute(owner: Any, name: str) -> Any:
    """An attribute, without running code of the program."""
    if isinstance(owner, nn.Module):
        found = attribute_of(owner, name)
        return found if found is not None else getattr(type(owner), name, MISSING)
    if isinstance(owner, (ModuleType, type)):
        return vars(owner).get(name, MISSING) if isinstance(owner, ModuleType) else getattr(owner, name, MISSING)
    if isinstance(owner, Tensor):
        return MISSING
    held = getattr(owner, "__dict__", {})
    return held.get(name, MISSING)


def _is_of_library(value: Any) -> bool:
    """Whether it is a function or a layer of torch or einops."""
    if value is MISSING or isinstance(value, ModuleType):
        return False
    home = getattr(value, "__module__", None) or str(getattr(value, "__objclass__", ""))
    if home.startswith(LIBRARIES) and not isinstance(value, type):
        return not home.startswith(("torch.distributed", "torch.optim", "torch.utils"))
    if isinstance(value, type):
        return issubclass(value, nn.Module) and home.startswith("torch.nn.")
    return any(
        value is vars(one).get(getattr(value, "__name__", ""), MISSING) for one in (torch, torch.nn.functional, math)
    )


def _binds_names(node: Any) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return all(
        isinstance(one, (ast.Name, ast.Tuple, ast.List, ast.Starred)) or not hasattr(one, "ctx")
        for target in targets
        for one in ast.walk(target)
        if not isinstance(one, (ast.expr_context,))
    )


class _Rewriter(ast.NodeTransformer):
    """Puts parts and inputs of the step in place of what the program's variables hold; leaves moves of devices out."""

    def __init__(self, scope: Scope, made: set[str]) -> None:
        self.scope, self.made = scope, made
        self.parts: dict[str, nn.Module] = {}
        self.given: dict[str, Any] = {}
        self.texts: dict[str, str] = {}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.chained(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self.chained(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return self.chained(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if method in MOVES and isinstance(node.func, ast.Attribute):
            given = [*node.args, *(one.value for one in node.keywords)]
            kept = [one for one in given if isinstance(self.scope.value(one), torch.dtype)]
            kept = kept or [one for one in given if isinstance(_dtype_named(one, self.scope), torch.dtype)]
            inner = self.visit(node.func.value)
            if method == "type_as" or not kept:
                return inner  # type: ignore[no-any-return]
            func = ast.copy_location(ast.Attribute(inner, "to", ast.Load()), node.func)
            return ast.copy_location(ast.Call(func, kept[:1], []), node)
        return self.generic_visit(node)

    def chained(self, node: Any) -> ast.AST:
        root = node
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            root = root.value
        fixed = isinstance(root, ast.Name) and root.id not in self.made and _is_read(node)
        value = self.scope.value(node) if fixed else MISSING
        if value is MISSING or isinstance(value, (ModuleType, type)):
            return self.generic_visit(node)
        if isinstance(part := value if isinstance(value, nn.Module) else _modules_in(value), nn.Module):
            return ast.copy_location(ast.Name(self.named(node, part, self.parts), ast.Load()), node)
        value = dict(value) if isinstance(value, UserDict) else value  # a batch of transformers
        if isinstance(value, Tensor) or (isinstance(value, (dict, list, tuple)) and _holds_tensors(value)):
            return ast.copy_location(ast.Name(self.named(node, value, self.given), ast.Load()), node)
        return self.generic_visit(node)

    def named(self, node: Any, value: Any, table: dict[str, Any]) -> str:
        """The name of a part or an input: the program's own last word for it."""
        text = ast.unparse(node)
        known = next((name for name, one in table.items() if self.texts.get(name) == text), None)
        if known is not None:
            return known
        word = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if isinstance(node, ast.Subscript):
            word = str(getattr(node.slice, "value", ""))
            word = word if word.isidentifier() else f"{getattr(node.value, 'id', 'input')}{word}"
        word = word if word.isidentifier() else "input"
        taken = {*self.parts, *self.given, *self.made, "self"}
        if word in taken or (isinstance(value, nn.Module) and hasattr(nn.Module, word)):
            word = next(name for place in range(1, 99) if (name := f"{word}_{place}") not in taken)
        table[word], self.texts[word] = value, text
        return word


def _dtype_named(node: ast.AST, scope: Scope) -> Any:
    """torch.float16 and x.dtype as a dtype."""
    if isinstance(node, ast.Attribute) and node.attr == "dtype":
        owner = scope.value(node.value)
        return owner.dtype if isinstance(owner, Tensor) else None
    return scope.value(node)


def _assembled(scope: Scope, root: Any, lines: list[ast.stmt], made: set[str]) -> Sliced | None:
    """The step of some lines and the failing one."""
    import copy

    made = made | ({*_bound(root)} if isinstance(root, ast.stmt) else _inner(root))
    rewriter = _Rewriter(scope, made | {name for line in lines for name in _inner(line)})
    if isinstance(root, ast.AugAssign):
        rewriter.made -= _bound(root.target) - {name for line in lines for name in _bound(line)}
        if isinstance(root.target, ast.Attribute) and isinstance(value := scope.value(root.target), Tensor):
            total = ast.Name(rewriter.named(root.target, value, rewriter.given), ast.Store())  # self.total += x
            root = ast.copy_location(ast.AugAssign(ast.copy_location(total, root.target), root.op, root.value), root)
        elif isinstance(root.target, ast.Name) and root.target.id not in rewriter.made:
            rewriter.visit(ast.copy_location(ast.Name(root.target.id, ast.Load()), root.target))
    body: list[ast.stmt] = [rewriter.visit(copy.deepcopy(one)) for one in lines]
    last = rewriter.visit(copy.deepcopy(root))
    body += [last] if isinstance(last, ast.stmt) else [ast.copy_location(ast.Return(last), root)]
    if isinstance(root, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
        result = ast.Tuple([ast.Name(name, ast.Load()) for name in sorted(_bound(root))], ast.Load())
        body.append(ast.copy_location(ast.Return(result), root))
    own = scope.frame.f_code
    name = own.co_name if own.co_name.isidentifier() else "script"
    names = [ast.arg(one) for one in rewriter.given]
    arguments = ast.arguments([], names, None, [], [], None, [])
    function = ast.copy_location(ast.FunctionDef(name, arguments, body, [], lineno=body[0].lineno), body[0])
    if "type_params" in ast.FunctionDef._fields:
        vars(function)["type_params"] = []
    module = ast.fix_missing_locations(ast.Module([function], []))
    code = compile(module, own.co_filename, "exec", dont_inherit=True)
    title = os.path.basename(own.co_filename) if own.co_name == "<module>" else name
    kind = type(title, (Excerpt,), {"__module__": __name__})
    step = kind(_Held(code, name, dict(scope.names)), rewriter.parts)
    return Sliced(step, rewriter.given, dict(rewriter.texts))


def _inner(node: ast.AST) -> set[str]:
    """Names that comprehensions and lambdas within bind."""
    names = {one.arg for part in ast.walk(node) if isinstance(part, ast.Lambda) for one in part.args.args}
    loops: Iterable[ast.comprehension] = (one for one in ast.walk(node) if isinstance(one, ast.comprehension))
    return names | {name for one in loops for name in _bound(one.target)}
