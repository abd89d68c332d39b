"""Splits a function's source, or its bytecode, into statements: the lines of each, and what it binds. No torch."""

import ast
import contextlib
import linecache
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from types import CodeType
from typing import NamedTuple

from vit_trace.record.source import frames
from vit_trace.record.source.definitions import Definition, NoSource, definition

Range = tuple[int, int, int, int]
"""First line, byte column, last line, end byte column, as the bytecode counts them."""


class Bind(NamedTuple):
    """What a statement binds: a variable, or an attribute of what the variable holds."""

    name: str
    attribute: str = ""


class Choice(NamedTuple):
    """`yes if test else no`: where each part stands."""

    yes: Range
    test: Range
    no: Range
    first: int
    """First line of the statement around it."""


@dataclass(slots=True)
class Unit:
    """A statement, or the head of a compound one. Lines that two statements share belong to one unit."""

    first: int
    last: int
    binds: tuple[Bind, ...] = ()
    kind: str = ""
    body: tuple[int, int] = (0, 0)
    """Of a `for` or `with`: the lines inside it."""
    optional: bool = False
    """Whether it may run without binding anything: `if wide: x = y` on one line."""


@dataclass(slots=True)
class Function:
    """The source of a function, by line: its arguments, its statements, its conditional expressions."""

    file: str
    name: str
    first: int
    last: int
    head: int
    """Last line of the signature."""
    lines: tuple[str, ...] = ()
    arguments: dict[str, int] = field(default_factory=dict)
    units: dict[int, Unit] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()
    problem: str = ""

    @property
    def is_constructor(self) -> bool:
        return self.name.endswith(".__init__")


@cache
def function(file: str, code: CodeType, name: str) -> Function:
    """The function that `code` was compiled from; the file is named since equal code of two files is equal."""
    try:
        text, tree = definition(code, name)
    except NoSource as error:
        return _without_source(code, name, str(error))
    last = tree.end_lineno or tree.lineno
    first = min([tree.lineno, *(node.lineno for node in tree.decorator_list)])
    found = Function(file, name, first, last, _head_of(tree), tuple(text[: last - first + 1]))
    given = [*tree.args.posonlyargs, *tree.args.args, tree.args.vararg, *tree.args.kwonlyargs, tree.args.kwarg]
    found.arguments = {argument.arg: argument.lineno for argument in given if argument is not None}
    found.units[tree.lineno] = Unit(first, found.head, kind="head")
    _add_units(found.units, tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.IfExp):
            around = found.units.get(node.lineno)
            parts = _place(node.body), _place(node.test), _place(node.orelse)
            found.choices += (Choice(*parts, around.first if around else node.lineno),)
    return found


def _head_of(node: Definition) -> int:
    """Last line of `def name(...) -> ...:`."""
    return max(node.lineno, node.body[0].lineno - 1)


def _place(node: ast.expr) -> Range:
    return node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0


def _add_units(units: dict[int, Unit], body: list[ast.stmt]) -> None:
    """Enter each statement under each of its lines."""
    for node in body:
        # Python makes no instruction of `global x` and `x: int`: they count as run with what comes after them
        if not isinstance(node, ast.Global | ast.Nonlocal) and not (isinstance(node, ast.AnnAssign) and not node.value):
            add(units, _unit_of(node))
        if isinstance(node, ast.ClassDef):
            continue
        for inner in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            for name in ("body", "orelse", "finalbody"):
                _add_units(units, getattr(inner, name, []))


def add(units: dict[int, Unit], unit: Unit) -> None:
    shared = next((units[line] for line in range(unit.first, unit.last + 1) if line in units), None)
    if shared is not None:
        shared.optional |= shared.kind in ("if", "for", "match") or unit.kind in ("if", "for", "match")
        shared.binds += unit.binds
        shared.last = max(shared.last, unit.last)
        unit = shared
    for line in range(unit.first, unit.last + 1):
        units[line] = unit


def _unit_of(node: ast.stmt) -> Unit:
    """The unit of a statement: all of it, or its head where it has a body."""
    first, last = node.lineno, node.end_lineno or node.lineno
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return Unit(first, _head_of(node), kind="def")
        case ast.ClassDef():
            return Unit(first, last, kind="class")
        case ast.If() | ast.While():
            return Unit(first, node.test.end_lineno or first, _walruses(node.test), "if")
        case ast.For() | ast.AsyncFor():
            inside = node.body[0].lineno, node.body[-1].end_lineno or first
            binds = (*_names(node.target), *_walruses(node.iter))
            return Unit(first, node.iter.end_lineno or first, binds, "for", inside)
        case ast.With() | ast.AsyncWith():
            inside = node.body[0].lineno, node.body[-1].end_lineno or first
            binds = tuple(bind for item in node.items if item.optional_vars for bind in _names(item.optional_vars))
            end = max((item.optional_vars or item.context_expr).end_lineno or first for item in node.items)
            return Unit(first, end, binds, "with", inside)
        case ast.Try() | ast.TryStar():
            return Unit(first, first, kind="try")
        case ast.Match():
            return Unit(first, node.subject.end_lineno or first, _walruses(node.subject), "match")
        case ast.Return():
            return Unit(first, last, _walruses(node), "return")
    return Unit(first, last, tuple(dict.fromkeys((*_bound(node), *_walruses(node)))))


def _bound(node: ast.stmt) -> Iterator[Bind]:
    """What a simple statement binds or works on in place."""
    match node:
        case ast.Assign():
            for target in node.targets:
                yield from _names(target)
        case ast.AugAssign() | ast.AnnAssign(value=ast.expr()):
            yield from _names(node.target)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr=method), args=args)):
            if method.endswith("_") and not method.endswith("__"):
                yield from _names(owner)
            elif method in ("register_buffer", "register_parameter") and args and isinstance(args[0], ast.Constant):
                yield from (Bind(bind.name, str(args[0].value)) for bind in _names(owner))


def _names(target: ast.expr) -> Iterator[Bind]:
    """Variables and attributes that an assignment's left side binds."""
    match target:
        case ast.Name():
            yield Bind(target.id)
        case ast.Attribute(value=ast.Name(id=owner), attr=attribute):
            yield Bind(owner, attribute)
        case ast.Subscript() | ast.Starred():
            yield from _names(target.value)
        case ast.Tuple() | ast.List():
            for element in target.elts:
                yield from _names(element)


def _walruses(node: ast.AST) -> tuple[Bind, ...]:
    return tuple(Bind(inner.target.id) for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))


def _without_source(code: CodeType, name: str, problem: str) -> Function:
    """The lines that the bytecode knows, each with the variables it stores."""
    stores: dict[int, list[Bind]] = {}
    jumps: set[int] = set()
    listing, _ = frames.instructions(code)
    for place, step in enumerate(listing):
        line = frames.positions(code)[step.offset // 2][0]
        if line and line > code.co_firstlineno:
            held = stores.setdefault(line, [])
            if "JUMP" in step.opname:
                jumps.add(line)
            if step.opname != "STORE_ATTR":
                held += map(Bind, frames.stored(step))
                continue
            owner = listing[place - 1].argval  # a variable, where the instruction before it loads one
            owner = owner[-1] if isinstance(owner, tuple) else owner
            if isinstance(owner, str) and owner.isidentifier():
                held.append(Bind(owner, str(step.argval)))
    first = code.co_firstlineno
    binds = {line: tuple(dict.fromkeys(held)) for line, held in sorted(stores.items())}
    units = {line: Unit(line, line, held, optional=line in jumps) for line, held in binds.items()}
    arguments = dict.fromkeys(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], first)
    return Function(code.co_filename, name, first, max([first, *units]), first, (), arguments, units, (), problem)


def entry_name(qualname: str) -> tuple[str, bool]:
    """(qualified name of the function that is listed, whether the code is only a part of it).

    A lambda, a comprehension or a function within a function is a part; a method of a class in a function is not.
    """
    parts, part = qualname.split(".<locals>."), False
    while len(parts) > 1 and ("." not in parts[-1] or parts[-1].startswith("<")):
        parts.pop()
        part = True
    return ".<locals>.".join(parts), part


@cache
def marks(code: CodeType, choices: tuple[Choice, ...]) -> dict[int, tuple[tuple[int, bool], ...]]:
    """For instructions within one side of a conditional expression: which expression, and whether it is `yes`."""
    found: dict[int, tuple[tuple[int, bool], ...]] = {}
    for place, position in enumerate(frames.positions(code)):
        if None in position:
            continue
        line, end_line, column, end_column = (value or 0 for value in position)
        hits = tuple(
            (number, side)
            for number, choice in enumerate(choices)
            for side, around in ((True, choice.yes), (False, choice.no))
            if around[:2] <= (line, column) and (end_line, end_column) <= around[2:]
        )
        if hits:
            found[2 * place] = hits
    return found


def class_header(file: str, name: str, before: int) -> tuple[int, tuple[str, ...]]:
    """(first line, text) of the nearest `class name(...):` above line `before`; (0, ()) when there is none."""
    lines = linecache.getlines(file)
    for number in range(min(before, len(lines)), 0, -1):
        if re.match(rf"\s*class\s+{re.escape(name)}\b", lines[number - 1]):
            text: list[str] = []
            for line in lines[number - 1 : number + 30]:
                text.append(line.rstrip("\n"))
                with contextlib.suppress(SyntaxError):  # the statement goes on
                    ast.parse("\n".join(text).lstrip() + "\n pass")
                    return number, tuple(text)
    return 0, ()
