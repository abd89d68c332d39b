"""Gathers the source of a trace for a page: the functions whose lines ran, each line with the stages it made."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from vit_trace.base.trace import Listed, Source, Stage, Trace
from vit_trace.config.files import may_show, shown_file

MOST_BYTES = 2_000_000
"""Characters of the longest file that is read for its functions."""

MOST_STAGES = 3
"""Stages of one line that make something else; further ones are left out."""


class CodeLine(NamedTuple):
    """A line; `anchor` is there where stages stand on it, `left_out` says how many more of them there are."""

    number: int
    text: str
    anchor: str
    stages: tuple[Stage, ...]
    left_out: int


class CodeFunction(NamedTuple):
    """A function with its lines; `name` has its class before it."""

    name: str
    file: str
    lines: tuple[CodeLine, ...]


class CodeBlock(NamedTuple):
    """All functions, ordered by their first run."""

    functions: tuple[CodeFunction, ...]
    anchors: Mapping[tuple[str, int], str]

    def anchor(self, file: str, line: int) -> str:
        """The name of a line in the page; "" where the page does not show it."""
        return self.anchors.get((file, line), "")


class _Body(NamedTuple):
    """The lines of a function: its name, its file, the number of its first line, their texts."""

    name: str
    file: str
    first: int
    texts: Sequence[str]


def code_of(trace: Trace) -> CodeBlock:
    """The functions of a trace: those that it holds, else as they stand in files that have not changed since."""
    stages: dict[tuple[str, int], list[Stage]] = {}
    for stage in trace.stages:
        if stage.source is not None:
            stages.setdefault((stage.source.file, stage.source.line), []).append(stage)
    found = _listed(trace.listing) if trace.listing else _read(stages)
    bodies = {(body.file, body.first): body for body in found}.values()
    anchors: dict[tuple[str, int], str] = {}
    functions = tuple(_function(body, stages, anchors) for body in bodies)
    return CodeBlock(functions, anchors)


def _function(
    body: _Body, stages: Mapping[tuple[str, int], Sequence[Stage]], anchors: dict[tuple[str, int], str]
) -> CodeFunction:
    lines = []
    for number, text in enumerate(body.texts, body.first):
        place = body.file, number
        here = reversed(stages.get(place, []))
        made = {tuple((one.shape, one.dims) for one in stage.outputs): stage for stage in here}
        shown = sorted(made.values(), key=lambda stage: stage.index)
        if shown:
            anchors.setdefault(place, f"L{len(anchors) + 1}")
        lines.append(
            CodeLine(number, text, anchors.get(place, ""), tuple(shown[:MOST_STAGES]), max(0, len(shown) - MOST_STAGES))
        )
    return CodeFunction(body.name, shown_file(body.file), tuple(lines))


def _listed(listing: Sequence[Listed]) -> Iterator[_Body]:
    for one in listing:
        if one.function and one.lines:
            name = f"{one.class_}.{one.function}" if one.class_ else one.function
            yield _Body(name, one.file, one.lines[0].line, [line.text for line in one.lines])


def _read(stages: Mapping[tuple[str, int], Sequence[Stage]]) -> Iterator[_Body]:
    """The innermost functions around the lines of stages, read from files that still hold them."""
    functions: dict[str, list[tuple[str, int, int]]] = {}
    for (file, line), found in stages.items():
        if file not in functions:
            functions[file] = list(_functions(file))
        around = [one for one in functions[file] if one[1] <= line <= one[2]]
        if around and all(_unchanged(one.source) for one in found if one.source is not None):
            name, first, last = max(around, key=lambda one: one[1])
            yield _Body(name, file, first, [linecache.getline(file, at).rstrip("\n") for at in range(first, last + 1)])


def _functions(file: str) -> Iterator[tuple[str, int, int]]:
    """(name, first line, last line) of each function of a Python file."""
    if not file.endswith(".py") or not may_show(file):
        return
    text = "".join(linecache.getlines(file))
    if len(text) > MOST_BYTES:
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    yield from _within(tree.body, "")


def _within(nodes: Iterable[ast.AST], owner: str) -> Iterator[tuple[str, int, int]]:
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{owner}{node.name}", node.lineno, node.end_lineno or node.lineno
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _within(node.body, f"{owner}{node.name}.")
        elif isinstance(node, (ast.If, ast.With, ast.Try)):
            yield from _within(ast.iter_child_nodes(node), owner)


def _unchanged(source: Source) -> bool:
    """Whether the file still holds the text of a span."""
    lines = [linecache.getline(source.file, number).rstrip("\n") for number in range(source.line, source.end_line + 1)]
    text = "\n".join(lines)
    return text[source.column : len(text) - len(lines[-1]) + source.end_column] == source.text
