"""Points at what the user wrote, in a file or on the command line, and words diagnostics in the form it was given."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, NoReturn

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Diagnostic, Source

COMMAND_LINE = "command line"
"""The file of a span that points at what was typed."""

NO_VALUE = {"", "~", "null"}
"""Ways to write an empty value, in lower case."""

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as in YAML 1.1


class Node(NamedTuple):
    """A value as written: a text, a list of nodes, a mapping of entries, or what is not read, with the reason."""

    kind: Literal["text", "list", "mapping", "tagged value", "unresolved value"]
    span: Source
    text: str = ""
    quoted: bool = False
    items: tuple[Node, ...] = ()
    entries: tuple[Entry, ...] = ()


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


def shown_text(typed: str) -> str:
    """What was typed, with a mark in place of each character that a line of UTF-8 cannot hold."""
    return re.sub("[\n\ud800-\udfff]", "\ufffd", typed)


def is_typed(span: Source) -> bool:
    return span.file == COMMAND_LINE


def is_flag(span: Source) -> bool:
    return is_typed(span) and not span.text.startswith("--set ")


class ConfigError(Refused):
    """The settings cannot be used; `diagnostics` hold all that is wrong with them."""


def diagnostic(
    code: str, message: str, span: Source, notes: tuple[str, ...] = (), help: tuple[str, ...] = ()
) -> Diagnostic:
    return Diagnostic(code, "error", message, span, notes, help)


def fail(code: str, message: str, span: Source, notes: tuple[str, ...] = (), help: tuple[str, ...] = ()) -> NoReturn:
    raise ConfigError(diagnostic(code, message, span, notes, help)) from None


def as_flag(name: str) -> str:
    return "--" + cut(name).replace("_", "-")


def label(name: str, span: Source) -> str:
    return as_flag(name) if is_flag(span) else name


def as_typed(name: str, value: str, span: Source) -> str:
    if is_flag(span):
        return f"{as_flag(name)} {value}"
    return f"--set {name}={value}" if is_typed(span) else f"{name}: {value}"


def value_text(value: object) -> str:
    if isinstance(value, tuple):
        return str(value[0]) if value[0] == value[1] else f"{value[0]}x{value[1]}"
    return str(value)


def where(span: Source) -> str:
    return f"{span.file}:{span.line}:{span.column + 1}"


def cut(text: str, most: int = 60) -> str:
    """The text on one line, without control characters, cut to what fits in a sentence."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in short)


def in_quotes(text: str) -> str:
    return f'"{cut(text)}"'
