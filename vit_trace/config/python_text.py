"""Reads the dicts and dataclasses of a Python file as nodes, each with its place; nothing of the file is run."""

from __future__ import annotations

import ast
import operator
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from vit_trace.base.trace import Source
from vit_trace.config.composed import merged
from vit_trace.config.files import MAX_SOURCE, FileProblem, file_name, read_regular
from vit_trace.config.tree import MAX_VALUES, child, replaced, text_node, values_in
from vit_trace.config.words import Entry, Node, cut, fail, line_span, split_lines

MAPPINGS = "dict ConfigDict FrozenConfigDict CN CfgNode EasyDict edict Munch Namespace SimpleNamespace".split()
"""Functions and classes that make a mapping of their arguments."""

MAX_CHANGES = 2_000
"""Values that a file may set in mappings that it made before."""

LAZY = ("L", "LazyCall")
"""Names under which detectron2 wraps a class, so that calling it only notes the arguments."""

_SUMS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}


def python_tree(file: Path) -> Node:
    """The variables and classes at the top of a file as a mapping. Raises ConfigError."""
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
    return whole


class _Reader:
    """Makes nodes of a file's expressions; a name stands for what the file has given it before."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.lines = file, split_lines(text)
        self.names: dict[str, Node] = {}
        self.imported: dict[str, str] = {}
        self.makers = set(MAPPINGS)
        self.code: set[str] = set()
        self.changes = 0

    def module(self, tree: ast.Module) -> Node:
        self.run(tree.body)
        whole = line_span(self.file, 1, self.lines[0])
        return Node("mapping", whole, entries=tuple((self._key(name, one), one) for name, one in self.names.items()))

    def run(self, body: list[ast.stmt]) -> None:
        """Notes what statements define; loops and branches are left alone."""
        for statement in body:
            match statement:
                case ast.ImportFrom(module=module, names=names):
                    self.imported |= {one.asname or one.name: f"{module}.{one.name}" for one in names}
                case ast.Import(names=names):
                    self.imported |= {one.asname: one.name for one in names if one.asname}
                case ast.ClassDef(name=name) if _is_code(statement, self.code):
                    self.code.add(name)
                case ast.ClassDef(name=name):
                    if entries := tuple(self._fields(statement)):
                        self.names[name] = Node("mapping", self._span(statement), entries=entries)
                case ast.FunctionDef(name=name, body=[*_, ast.Return(value=ast.Call() as made)]) if self._makes(made):
                    self.makers.add(name)
                case ast.FunctionDef(name=name) if "config" in name:
                    self._function(statement)
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign(target, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign(target, value)

    def _function(self, statement: ast.FunctionDef) -> None:
        """A function that returns a config, as ml_collections has it: the config under the function's name."""
        last = statement.body[-1]
        before, self.names = self.names, dict(self.names)
        self.run(statement.body)
        found = self.node(last.value) if isinstance(last, ast.Return) and last.value is not None else None
        self.names = before
        if found is not None and found.kind == "mapping":
            self.names[statement.name] = found

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, part in zip(target.elts, value.elts, strict=True):
                self._assign(one, part)
        elif path := _path_of(target):
            root, *inner = path
            self.changes += bool(inner)
            if self.changes > MAX_CHANGES:
                fail("config-too-large", f"{self.file} changes more than {MAX_CHANGES:,} values", self._span(target))
            held = self.names.get(root)
            start = held if held is not None and held.kind == "mapping" else Node("mapping", self._span(target))
            self.names[root] = replaced(start, tuple(inner), self.node(value))

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
                return Node("mapping", span, entries=_last_wins(self._pairs(keys, values)))
            case ast.Call(func=ast.Call(func=ast.Name(id=name), args=[ast.expr() as made]), keywords=keywords) if (
                name in LAZY
            ):
                return self._called(made, keywords, span)
            case ast.Call(func=ast.Name(id="partial"), args=[made], keywords=keywords):
                return self._called(made, keywords, span, ("_partial_", True))
            case ast.Call(args=args, keywords=keywords) if self._makes(value):
                first = (entry for one in args for entry in self.node(one).entries)
                return Node("mapping", span, entries=_last_wins((*first, *self._keywords(keywords))))
            case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords) if name in self.names:
                return merged(self.names[name], Node("mapping", span, entries=tuple(self._keywords(keywords))))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return Node("mapping", span, entries=_last_wins((*self.node(left).entries, *self.node(right).entries)))
            case ast.Name() | ast.Attribute() | ast.Subscript():
                root, *path = _path_of(value) or ("",)
                if (held := child(self.names.get(root), *path)) is not None:
                    return held
                if self._dotted(value).startswith("torch.nn."):
                    return self._called(value, [], span, ("_partial_", True))
        number = _folded(value)
        return text_node(number, span) if number is not None else Node(
            "unresolved value", span, "is Python code, which is not run to read a config")  # fmt: skip

    def _makes(self, call: ast.Call) -> bool:
        """Whether a call makes a mapping of its arguments."""
        return self._dotted(call.func).rpartition(".")[2] in self.makers

    def _called(self, made: ast.expr, keywords: list[ast.keyword], span: Source, *more: tuple[str, bool]) -> Node:
        """A call of a class, as Hydra writes it down."""
        target = text_node(self._dotted(made), self._span(made))
        own = [(Node("text", span, key), text_node(value, span)) for key, value in more]
        return Node("mapping", span, entries=((self._key("_target_", target), target), *own, *self._keywords(keywords)))

    def _dotted(self, value: ast.expr) -> str:
        """The dotted name of what an expression names, as it was imported."""
        root, *path = _path_of(value) or ("",)
        return ".".join((self.imported.get(root, root), *path))

    def _pairs(self, keys: list[ast.expr | None], values: list[ast.expr]) -> Iterator[Entry]:
        for key, value in zip(keys, values, strict=True):
            if key is None:
                yield from self.node(value).entries
            elif isinstance(key, ast.Constant):
                yield self._named(key, str(key.value)), self.node(value)

    def _keywords(self, keywords: list[ast.keyword]) -> Iterator[Entry]:
        for one in keywords:
            if one.arg is not None and one.arg != "initial_dictionary":
                yield self._key_at(one), self.node(one.value)
            else:
                yield from self.node(one.value).entries

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


def _path_of(value: ast.expr) -> tuple[str, ...]:
    """model, backbone of model.backbone or model["backbone"]; nothing of any other expression."""
    match value:
        case ast.Name(id=name):
            return (name,)
        case (
            ast.Attribute(value=inner, attr=name) | ast.Subscript(value=inner, slice=ast.Constant(value=str() as name))
        ):
            path = _path_of(inner)
            return (*path, name) if path else ()
    return ()


def _last_wins(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple({key.text: (key, value) for key, value in entries}.values())


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


def _is_code(statement: ast.ClassDef, others: Set[str]) -> bool:
    """Whether a class does something, as a model and as what derives from one of the `others` does: it is no config."""
    methods = {one.name for one in statement.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}
    bases = {ast.unparse(base).rpartition(".")[2] for base in statement.bases}
    modules = any(base.endswith("Module") for base in bases) or bool(bases & others)
    return modules or bool(methods & {"forward", "__init__", "__call__"})
