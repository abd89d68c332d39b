"""Points at what the user wrote: spans of a line, values with their span, the command line as a line of text."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from vit_trace.base.trace import Source

COMMAND_LINE = "command line"
"""The file of a span that points at what was typed."""

NO_VALUE = {"", "~", "null"}
"""Ways to write an empty value, in lower case."""

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as in YAML 1.1


class Node(NamedTuple):
    """A value as written: a text, a list of nodes, or a mapping (whose contents do not matter)."""

    kind: Literal["text", "list", "mapping"]
    span: Source
    text: str = ""
    quoted: bool = False
    items: tuple[Node, ...] = ()


Entry = tuple[Node, Node]
"""A key and its value."""


def split_lines(text: str) -> list[str]:
    return _LINE_BREAK.split(text)


def line_span(file: str, line: int, text: str = "", column: int = 0, end_column: int = 0) -> Source:
    return Source(file, line, line, column, end_column, text)


def axis_span(span: Source, axis: str) -> Source:
    """The span of one number in `256x320` or `[256, 320]`; the whole span where there are not two on one line."""
    numbers = list(re.finditer("[+-]?[0-9]+", span.text[span.column : span.end_column]))
    if span.end_line != span.line or len(numbers) != 2:
        return span
    start, end = numbers[axis == "width"].span()
    return line_span(span.file, span.line, span.text, span.column + start, span.column + end)


def one_line(typed: str) -> str:
    """What was typed, with a mark in place of each character that a line of UTF-8 cannot hold."""
    return re.sub("[\n\ud800-\udfff]", "\ufffd", typed)


def is_typed(span: Source) -> bool:
    return span.file == COMMAND_LINE


def is_flag(span: Source) -> bool:
    return is_typed(span) and not span.text.startswith("--set ")
