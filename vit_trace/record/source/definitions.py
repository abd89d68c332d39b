"""Leads from a code object to the text and syntax tree it was compiled from, if its file still holds them."""

import __future__

import ast
import inspect
import linecache
from collections.abc import Iterator, Sequence
from types import CodeType

from vit_trace.record.source import frames

Definition = ast.FunctionDef | ast.AsyncFunctionDef
FUTURE = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
REWRITTEN = "@"
"""Begins names that pytest puts into the asserts it rewrites: such code is never what its file says."""


class NoSource(Exception):
    """A function's source is not there, or no longer what was imported; the text says which."""


def definition(code: CodeType, name: str) -> tuple[list[str], Definition]:
    """The function's lines as they stand in the file, and the definition they are. Raises NoSource."""
    lines = linecache.getlines(code.co_filename)
    first = code.co_firstlineno - 1
    if first >= len(lines):
        raise NoSource("its source is not available")
    for text in _candidates(lines, first, code):
        tree = _parsed(text, code)
        if tree is not None and _compiles_to(tree, code, name):
            return text, tree
    raise NoSource("its file has changed since it was imported")


def _candidates(lines: Sequence[str], first: int, code: CodeType) -> Iterator[list[str]]:
    """The function's lines: to the last expression that runs; where it goes on after that, to the end of its block."""
    positions = (position for each in (code, *nested(code)) for position in frames.positions(each))
    last = max((end_line or 0 for _, end_line, _, _ in positions), default=0)
    following = next((line for line in lines[last:] if line.strip() and not line.lstrip().startswith("#")), "")
    # what is indented more is still inside the function: a closing bracket, or code that never runs
    if first < last <= len(lines) and _margin(following) <= _margin(lines[first]):
        yield [line.rstrip("\n") for line in lines[first:last]]
    try:
        yield [line.rstrip("\n") for line in inspect.getblock(list(lines[first:]))]
    except (SyntaxError, IndentationError):
        return


def _margin(line: str) -> int:
    """Columns of the line's indentation."""
    line = line.lstrip("\f").expandtabs(8)
    return len(line) - len(line.lstrip())


def _parsed(text: list[str], code: CodeType) -> Definition | None:
    """The definition that `text` is, with the file's line numbers."""
    indented = text[0][:1].isspace()
    joined = "\n".join(["if 1:", *text] if indented else text)
    try:
        body = ast.parse(joined).body
    except (SyntaxError, ValueError):
        return None
    node = body[0].body[0] if indented and isinstance(body[0], ast.If) else body[0]
    if not isinstance(node, Definition) or node.name != code.co_name:
        return None
    return ast.increment_lineno(node, code.co_firstlineno - 1 - indented)


def _compiles_to(tree: Definition, code: CodeType, name: str) -> bool:
    """Whether the definition, as a method of its class, has the code's lines, names and constants."""
    if any(each.startswith(REWRITTEN) for each in (*code.co_names, *code.co_varnames)):
        return True
    owner = name.rpartition(".")[0].rpartition(".")[2]
    body: list[ast.stmt] = [tree]
    if owner.isidentifier():
        around = ast.parse(f"class {owner}: pass").body[0]
        assert isinstance(around, ast.ClassDef)
        around.body = [tree]
        body = [around]
    try:
        module = compile(ast.Module(body, []), code.co_filename, "exec", code.co_flags & FUTURE, dont_inherit=True)
    except (SyntaxError, ValueError):  # a `nonlocal` needs the function around it
        return True
    found = next((each for each in nested(module) if each.co_name == code.co_name), None)
    return found is not None and _fingerprint(found) == _fingerprint(code)


def nested(code: CodeType) -> Iterator[CodeType]:
    """The code objects within a code object, the outer ones first."""
    inside = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    yield from inside
    for each in inside:
        yield from nested(each)


def _fingerprint(code: CodeType) -> tuple[object, ...]:
    """What code has wherever its function stands: a variable from around it is a global name, or a free one."""
    names = {*code.co_names, *code.co_varnames, *code.co_cellvars, *code.co_freevars} - {"__class__"}
    constants = {repr(constant) for constant in code.co_consts if not isinstance(constant, CodeType)}
    lines = {line for _, _, line in code.co_lines()}
    inside = [_fingerprint(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return names, constants, lines, inside
