"""Reads the dicts and dataclasses of a Python file as nodes, each with its place; nothing of the file is run."""

from __future__ import annotations

import ast
import operator
from collections.abc import Iterator
from pathlib import Path

from vit_trace.base.trace import Source
from vit_trace.config.composed import merged
from vit_trace.config.files import MAX_SOURCE, FileProblem, file_name, read_regular
from vit_trace.config.tree import MAX_VALUES, child, text_node, values_in
from vit_trace.config.words import Entry, Node, cut, fail, line_span, split_lines

LAZY = ("L", "LazyCall")
"""Names under which detectron2 wraps a class, so that calling it only notes the arguments."""

MAX_BASES = 20
"""Files that one file may be based on, directly or by another."""

_SUMS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}


def python_tree(file: Path, bases: int = 0) -> Node:
    """The variables and classes at the top of a file as a mapping, over those of its `_base_`. Raises ConfigError."""
    name = file_name(file)
    try:
        text = read_regular(file, "a Python file", MAX_SOURCE).decode("utf-8-sig")
        tree = ast.parse(text, name)
    except FileProblem as found:
        fail("not-python", found.message, line_span(name, 1), found.notes, found.help)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        fail("not-python", f"{name} is not Python: {cut(str(error), 200)}", line_span(name, 1))
    try:
        whole = _Reader(name, text).module(tree)
        count = values_in(whole, {})
    except RecursionError:
        fail("not-python", f"{name} is nested too deeply to be read as a config", line_span(name, 1))
    if count > MAX_VALUES:
        fail("config-too-large", f"{name} has more than {MAX_VALUES:,} values", line_span(name, 1))
    for base in value_texts(child(whole, "_base_")):
        if bases < MAX_BASES and (path := file.parent / base).is_file():
            whole = merged(python_tree(path, bases + 1), whole)
    return whole


def value_texts(node: Node | None) -> list[str]:
    """The texts of a node that is one or a list of them."""
    return [one.text for one in (node.items or (node,)) if one.kind == "text"] if node is not None else []


class _Reader:
    """Makes nodes of a file's expressions; a name stands for what the file has given it before."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.lines = file, split_lines(text)
        self.names: dict[str, Node] = {}
        self.imported: dict[str, str] = {}

    def module(self, tree: ast.Module) -> Node:
        for statement in tree.body:
            if isinstance(statement, ast.ImportFrom):
                self.imported |= {one.asname or one.name: f"{statement.module}.{one.name}" for one in statement.names}
            elif isinstance(statement, ast.ClassDef):
                entries = tuple(self._fields(statement)) if not _is_code(statement) else ()
                if entries:
                    self.names[statement.name] = Node("mapping", self._span(statement), entries=entries)
            elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        self.names[target.id] = self.node(statement.value)
        whole = line_span(self.file, 1, self.lines[0])
        return Node("mapping", whole, entries=tuple((self._key(name, one), one) for name, one in self.names.items()))

    def _fields(self, statement: ast.ClassDef) -> Iterator[Entry]:
        """The fields of a class that have a value, as in a dataclass."""
        for one in statement.body:
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.value is not None:
                yield self._named(one.target, one.target.id), self.node(_default(one.value))
            elif isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
                yield self._named(one.targets[0], one.targets[0].id), self.node(one.value)

    def node(self, value: ast.expr) -> Node:
        span = self._span(value)
        match value:
            case ast.Constant(value=str() | int() | float() | bool() | None as plain):
                return text_node(plain, span)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return Node("list", span, items=tuple(map(self.node, items)))
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                named = ((self._named(key, str(key.value)), one) for key, one in pairs if isinstance(key, ast.Constant))
                return Node("mapping", span, entries=tuple((key, self.node(one)) for key, one in named))
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
                return Node("mapping", span, entries=tuple(self._keywords(keywords)))
            case ast.Call(func=ast.Call(func=ast.Name(id=name), args=[ast.Name(id=made)]), keywords=keywords) if (
                name in LAZY
            ):
                target = text_node(self.imported.get(made, made), self._span(value.func))
                return Node(
                    "mapping", span, entries=((self._key("_target_", target), target), *self._keywords(keywords))
                )
            case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords) if name in self.names:
                given = Node("mapping", span, entries=tuple(self._keywords(keywords)))
                return merged(self.names[name], given)
            case ast.Name(id=name) if name in self.names:
                return self.names[name]
        number = _folded(value)
        return text_node(number, span) if number is not None else Node(
            "unresolved value", span, "is Python code, which is not run to read a config")  # fmt: skip

    def _keywords(self, keywords: list[ast.keyword]) -> Iterator[Entry]:
        return ((self._key_at(one), self.node(one.value)) for one in keywords if one.arg is not None)

    def _key_at(self, keyword: ast.keyword) -> Node:
        name = str(keyword.arg)
        place = self._place(keyword.lineno, keyword.col_offset, keyword.lineno, keyword.col_offset + len(name))
        return Node("text", place, name)

    def _named(self, at: ast.AST, name: str) -> Node:
        return Node("text", self._span(at), name)

    def _key(self, name: str, value: Node) -> Node:
        return Node("text", value.span, name)

    def _span(self, node: ast.AST) -> Source:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        return self._place(line, column, getattr(node, "end_lineno", line), getattr(node, "end_col_offset", column))

    def _place(self, line: int, column: int, last: int, end: int) -> Source:
        """A span in characters; Python counts bytes."""
        lines = self.lines[line - 1 : last] or [""]
        start, stop = (
            len(one.encode()[:at].decode(errors="ignore")) for one, at in ((lines[0], column), (lines[-1], end))
        )
        return Source(self.file, line, last, start, stop, "\n".join(lines))


def _default(value: ast.expr) -> ast.expr:
    """The default of a dataclass's field(...)."""
    if isinstance(value, ast.Call) and isinstance(value.func, (ast.Name, ast.Attribute)):
        given = {one.arg: one.value for one in value.keywords}
        factory = given.get("default_factory")
        return given.get("default") or (factory.body if isinstance(factory, ast.Lambda) else value)
    return value


def _folded(value: ast.expr) -> int | float | None:
    """The number that an expression of numbers is: -1, 4 * 384."""
    match value:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _folded(operand)
            return -inner if inner is not None else None
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _SUMS:
            one, two = _folded(left), _folded(right)
            if (
                one is None
                or two is None
                or max(abs(one), abs(two)) > 2**31
                or (not two and type(sign) is ast.FloorDiv)
            ):
                return None
            found: int | float = _SUMS[type(sign)](one, two)
            return found
    return None


def _is_code(statement: ast.ClassDef) -> bool:
    """Whether a class does something, as a model does, and is no config."""
    methods = {one.name for one in statement.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}
    modules = any(ast.unparse(base).rpartition(".")[2].endswith("Module") for base in statement.bases)
    return modules or bool(methods & {"forward", "__init__", "__call__"})
