"""Writes the listing as Python with its notes as comments: for a page, or as the model's whole file.

The text parses as Python: a comment stands at the end of its line, or below it if the line would become too long, and
never inside a string or behind a backslash.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence

from vit_trace.base.refused import Refused, refuse
from vit_trace.base.trace import Line, Listed, Trace
from vit_trace.base.words import module_ranges
from vit_trace.config.files import may_show, shown_file
from vit_trace.render.notes import line_words, shown_lines
from vit_trace.render.places import package_of, shown_path

WIDEST = 110
"""Longest line with its comment, in characters; a longer comment goes below the line."""


RELATIVE = re.compile(r"\bfrom\s*\.[.\s]*(?:(?!import\b)[\w.]+)?\s*")
"""`from ..layers `, `from . `"""

COOKIE = re.compile(r"^([ \t\f]*#.*?coding[:=][ \t]*)[-\w.]+")
"""The encoding that a file declares (PEP 263); ours is always UTF-8."""


def listing_blocks(listing: Sequence[Listed], ran_only: bool) -> Iterator[str]:
    """Each function as lines of Python, under the first lines of its class; files and modules as comments."""
    file, scope, margin = "", "", 0
    for listed in listing:
        if listed.file != file:
            yield from (["", "", ""] if file else [])
            yield f"# {shown_path(listed.file)}"
            file, scope = listed.file, ""
        if (listed.class_ or listed.function) != scope and not (listed.class_ and listed.class_ == scope):
            yield from ("", "")
        if listed.class_ and listed.class_ != scope:
            margin = _indent_of(listed) if not listed.function else max(0, _indent_of(listed) - 4)
            if listed.function:
                yield f"class {listed.class_.rpartition('.')[2]}:"
        if not listed.function:
            yield from (line.text[margin:] for line in listed.lines)
            scope = listed.class_
            continue
        margin = margin if listed.class_ else _indent_of(listed)
        if listed.class_:
            yield ""
        scope = listed.class_ or listed.function
        where = module_ranges([module for module in listed.modules if module])
        if where:
            yield f"{' ' * (_indent_of(listed) - margin)}# {where}" + (f"  ×{listed.calls}" if listed.calls > 1 else "")
        yield from _function_lines(listed, margin, ran_only)


def _indent_of(listed: Listed) -> int:
    text = listed.lines[0].text if listed.lines else ""
    return len(text) - len(text.lstrip())


def _function_lines(listed: Listed, margin: int, ran_only: bool) -> Iterator[str]:
    """The function with its comments; the whole of it if it does not parse without the lines that did not run."""
    if listed.problem:
        inner = "    " if listed.class_ else ""
        yield f"{inner}# {listed.function}: {listed.problem}"
        for line in listed.lines:
            yield from (f"{inner}# line {line.line}: {note}" for note in line_words(line, listed.modules))
        yield f"{inner}pass"
        return
    whole = [text for texts in _with_comments(listed.lines, _note_texts(listed)) for text in texts]
    if ran_only:
        short = list(_ran_lines(listed))
        whole = short if _parses(short) else whole
    yield from (line[margin:] if line[:margin].isspace() else line for line in whole)


def _ran_lines(listed: Listed) -> Iterator[str]:
    """The lines that ran, with `...` for each run of lines that did not."""
    idle = False
    ran = {line.line for line in shown_lines(listed, True)}
    for line, texts in zip(listed.lines, _with_comments(listed.lines, _note_texts(listed)), strict=True):
        if line.line in ran:
            yield from texts
        elif not idle and line.text.strip():
            yield f"{line.text[: len(line.text) - len(line.text.lstrip())]}..."
        idle = line.line not in ran and (idle or bool(line.text.strip()))


def _parses(lines: Sequence[str]) -> bool:
    try:
        ast.parse("\n".join(["if 1:", *lines]) if lines and lines[0][:1].isspace() else "\n".join(lines))
    except SyntaxError:
        return False
    return True


def python_file(trace: Trace) -> str:
    """The file of the traced class, still runnable, with comments. Raises Refused."""
    if not trace.listing:
        raise _no_file("no code of the model's own ran")
    file = trace.listing[0].file
    own = [listed for listed in trace.listing if listed.file == file]
    known = {line.line: line.text for listed in own for line in listed.lines}
    if not may_show(file):
        raise _no_file(f"{shown_file(file)} is too large or no regular file")
    try:
        with tokenize.open(file) as stream:
            texts = stream.read().removesuffix("\n").split("\n")  # not at form feeds, as Python counts lines
    except (OSError, SyntaxError, UnicodeDecodeError):
        raise _no_file(f"{shown_file(file)} cannot be read") from None
    if any(number > len(texts) or texts[number - 1] != text for number, text in known.items()):
        raise _no_file(f"{shown_file(file)} has changed since it was traced")
    changed = _absolute_imports(texts, file) | _without_registering(texts, file)
    changed |= {number: COOKIE.sub(r"\1utf-8", text) for number, text in enumerate(texts[:2], 1) if COOKIE.match(text)}
    lines = [Line(number, changed.get(number, text)) for number, text in enumerate(texts, 1)]
    notes = {number: texts for listed in own for number, texts in _note_texts(listed).items()}
    others = sorted({shown_path(listed.file) for listed in trace.listing if listed.file != file})
    also = [f"# code of these files ran too: {', '.join(others)}"] if others else []
    return "\n".join([*(text for each in _with_comments(lines, notes) for text in each), *also, ""])


def _no_file(reason: str) -> Refused:
    return refuse("no-source", f"no Python file can be written: {reason}")


def _absolute_imports(texts: Sequence[str], file: str) -> dict[int, str]:
    """Lines with `from .layers import ...`, made absolute."""
    parts = package_of(file)
    found: dict[int, str] = {}
    for node in ast.walk(ast.parse("\n".join(texts))):
        if isinstance(node, ast.ImportFrom) and 0 < node.level <= len(parts):
            name = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
            text = found.get(node.lineno, texts[node.lineno - 1])
            found[node.lineno] = RELATIVE.sub(f"from {name} ", text, count=1)
    return found


def _without_registering(texts: Sequence[str], file: str) -> dict[int, str]:
    """Lines with the package's own `@register_model`, as comments: a copy would take the original's name."""
    package = package_of(file)
    tree = ast.parse("\n".join(texts))
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and package and (node.level or (node.module or "").startswith(package[0]))
        for alias in node.names
    }
    found = {}
    for node in tree.body:
        for decorator in node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else ():
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(called, ast.Name) and called.id.startswith("register") and called.id in imported:
                for number in range(decorator.lineno, (decorator.end_lineno or decorator.lineno) + 1):
                    found[number] = f"# {texts[number - 1]}"
    return found


def _note_texts(listed: Listed) -> dict[int, list[str]]:
    """Line number -> its notes."""
    return {line.line: [str(note) for note in line_words(line, listed.modules)] for line in listed.lines}


def _with_comments(lines: Sequence[Line], notes: Mapping[int, Sequence[str]]) -> Iterator[list[str]]:
    """For each line, the line with its comment and the comments below it."""
    closed = _unsafe([line.text for line in lines])
    waiting: list[str] = []
    for place, line in enumerate(lines):
        waiting += notes.get(line.line, ())
        if place in closed or not waiting:
            yield [line.text]
            continue
        text = line.text.rstrip()
        joined = f"{text}  # {'; '.join(waiting)}"
        if len(joined) <= WIDEST:
            yield [joined]
        else:
            indent = text[: len(text) - len(text.lstrip())] + ("    " if text.endswith(":") else "")
            yield [text, *(f"{indent}# {each}" for each in waiting)]
        waiting = []


def _unsafe(texts: Sequence[str]) -> set[int]:
    """Indexes of lines that a comment cannot follow: they end inside a string, or with a backslash."""
    found = {place for place, text in enumerate(texts) if text.rstrip().endswith("\\")}
    indented = bool(texts) and texts[0][:1].isspace()
    source = "\n".join(["if 1:", *texts] if indented else texts)
    first = 1 + indented
    opened: list[int] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            kind = tokenize.tok_name[token.type]
            if kind in ("FSTRING_START", "TSTRING_START"):
                opened.append(token.start[0])
            elif kind in ("FSTRING_END", "TSTRING_END"):
                found |= set(range(opened.pop() - first, token.end[0] - first))
            elif kind == "STRING":
                found |= set(range(token.start[0] - first, token.end[0] - first))
    except (tokenize.TokenError, IndentationError):
        return set(range(len(texts) - 1))
    return found
