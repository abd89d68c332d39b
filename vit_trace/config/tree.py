"""Reads a YAML, JSON or TOML file as a tree of nodes, each with its place in the text, and gives nodes as values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from vit_trace.base.roles import Path
from vit_trace.base.trace import Source
from vit_trace.config.files import MAX_BYTES, MAX_JSON, FileProblem, file_name, file_text, read_regular
from vit_trace.config.json_text import JsonSpans, json_spans, long_number
from vit_trace.config.page import Page, tree_of
from vit_trace.config.words import NO_VALUE, ConfigError, Entry, Node, diagnostic, fail, line_span

YAML = (".yaml", ".yml")
TEXTS = (*YAML, ".json", ".toml")
"""Suffixes of the files that are read as a tree."""

MAX_LEVELS = 100
"""Levels of nesting above which a JSON or TOML file is refused."""

MAX_VALUES = 50_000
"""Values above which a JSON or TOML file is refused."""

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_INTEGER = re.compile(r"[+-]?[0-9][0-9_]*")
_FLOAT = re.compile(r"[+-]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?\.?(inf|nan)", re.IGNORECASE)


def read_tree(file: FilePath) -> Node:
    """The mapping that a file holds; a JSON list is a mapping of nothing. Raises ConfigError."""
    suffix = file.suffix.lower()
    if suffix in YAML:
        return tree_of(Page(file_name(file), file_text(file)))
    text = _text_of(file, suffix)
    values = _parsed(text, file_name(file), suffix)
    whole = line_span(file_name(file), 1, text.split("\n", 1)[0][:1000])
    _require_few(values, whole)
    try:
        spans = (_toml_spans if suffix == ".toml" else json_spans)(text, file_name(file))
    except RecursionError:
        spans = JsonSpans({}, {})
    return node_of(values, spans, whole)


def _require_few(values: Any, whole: Source) -> None:
    """Raise ConfigError for more values than are given places, before any is."""
    waiting, count = [values], 0
    while waiting:
        held = waiting.pop()
        inner = held.values() if isinstance(held, dict) else held if isinstance(held, list) else ()
        count += len(inner)
        if count > MAX_VALUES:
            fail("config-too-large", f"{whole.file} has more than {MAX_VALUES:,} values", whole)
        waiting.extend(inner)


def _text_of(file: FilePath, suffix: str) -> str:
    what, most = ("a TOML file", MAX_BYTES) if suffix == ".toml" else ("a config", MAX_JSON)
    try:
        return read_regular(file, what, most).decode("utf-8-sig").replace("\r\n", "\n")
    except FileProblem as found:
        codes = {"kind": "not-a-file", "missing": "config-not-found", "large": "config-too-large"}
        code = codes.get(found.problem, "config-unreadable")
        fail(code, found.message, line_span(file_name(file), 1), found.notes, found.help)
    except UnicodeDecodeError as error:
        fail("not-utf8", f"{file_name(file)} is not UTF-8: {error.reason}", line_span(file_name(file), 1))


def _parsed(text: str, file: str, suffix: str) -> Any:
    import tomllib

    if (place := long_number(text, file)) is not None:
        digits = place.end_column - place.column
        fail("bad-value", f"{file}: a number of {digits:,} digits is too long for a size", place)
    lines = text.split("\n")
    try:
        return tomllib.loads(text) if suffix == ".toml" else json.loads(text)
    except json.JSONDecodeError as error:
        line, column, said = error.lineno, error.colno, error.msg
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)$", str(error))
        line, column = map(int, found.groups()) if found else (len(lines), len(lines[-1]) + 1)
        said = str(error).partition(" (at ")[0]
    except (RecursionError, ValueError):
        fail("not-json" if suffix == ".json" else "not-toml", f"{file} is nested too deeply", line_span(file, 1))
    kind = "TOML" if suffix == ".toml" else "JSON"
    span = line_span(file, line, lines[min(line, len(lines)) - 1][:1000], column - 1, column)
    raise ConfigError(diagnostic(f"not-{kind.lower()}", f"{file} is not {kind}: {said}", span))


def node_of(value: Any, spans: JsonSpans, whole: Source) -> Node:
    """The node of a value; what has no span of its own has that of what it stands in."""

    def made(value: Any, path: Path, around: Source) -> Node:
        if len(path) > MAX_LEVELS:
            fail("config-too-large", f"{whole.file} has more than {MAX_LEVELS} levels", whole)
        span = spans.values.get(path, around)
        if isinstance(value, Mapping):
            keys = [Node("text", spans.keys.get((*path, key), span), str(key), True) for key in value]
            inner = [made(one, (*path, key), span) for key, one in value.items()]
            return Node("mapping", span, entries=tuple(zip(keys, inner, strict=True)))
        if isinstance(value, (list, tuple)):
            return Node("list", span, items=tuple(made(one, (*path, at), span) for at, one in enumerate(value)))
        return text_node(value, span)

    return made(value, (), whole)


def text_node(value: Any, span: Source) -> Node:
    """The node of a plain value: a number, true, null, or a text, which is quoted."""
    if value is None or isinstance(value, bool):
        return Node("text", span, "null" if value is None else str(value).lower())
    number = isinstance(value, (int, float))
    return Node("text", span, repr(value) if number else str(value), quoted=not number)


def _toml_spans(text: str, file: str) -> JsonSpans:
    """The spans of keys and of the values behind them, by their paths; those inside an inline table have none."""
    hidden = re.sub(r'("""|\'\'\')(?s:.*?)\1', lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    spans = JsonSpans({}, {})
    tables: dict[Path, int] = {}
    table: Path = ()
    lines = text.split("\n")
    for number, line in enumerate(hidden.split("\n")):
        if header := re.match(r"\s*\[(\[?)\s*([^\]]+?)\s*\]", line):
            table = _keys(header[2])
            if header[1]:
                tables[table] = tables.get(table, -1) + 1
                table = (*table, tables[table])
        elif found := re.match(r"\s*([\w\".'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=\s*", line):
            shown = re.sub(r"\s+#[^\"']*$", "", lines[number]).rstrip()
            place = line_span(file, number + 1, lines[number], found.end(), max(len(shown), found.end() + 1))
            path = (*table, *_keys(found[1]))
            spans.values[path] = place
            spans.keys[path] = line_span(file, number + 1, lines[number], found.start(1), found.end(1))
    return spans


def _keys(dotted: str) -> Path:
    return tuple(one.strip().strip("\"'") for one in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", dotted))


def child(node: Node | None, *path: str) -> Node | None:
    """What stands at a path in a mapping; the last where a key is repeated, None where there is none."""
    for key in path:
        entries = node.entries if node is not None else ()
        node = next((value for one, value in reversed(entries) if one.text == key), None)
    return node


def text_at(node: Node | None, *path: str) -> str:
    """The text at a path; "" where there is none, or it is empty."""
    found = child(node, *path)
    return found.text if found is not None and found.kind == "text" and _value(found) is not None else ""


def value_of_node(node: Node) -> Any:
    """A node as a value of Python, as YAML reads it; a tagged value is None."""
    if node.kind == "mapping":
        return {key.text: value_of_node(value) for key, value in node.entries}
    return [value_of_node(item) for item in node.items] if node.kind == "list" else _value(node)


def _value(node: Node) -> Any:
    text, lower = node.text, node.text.lower()
    if node.quoted or node.kind != "text":
        return text if node.kind == "text" else None
    if lower in NO_VALUE:
        return None
    if lower in _TRUE or lower in _FALSE:
        return lower in _TRUE
    if _INTEGER.fullmatch(text):
        return int(text[:25].replace("_", ""))  # more digits are out of range anyway
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan").lower())
    return text


def values_in(node: Node, counted: dict[int, int]) -> int:
    """How many values a tree holds, those that stand at several places counted each time."""
    if id(node) not in counted:
        inner = (*node.items, *(value for _, value in node.entries))
        counted[id(node)] = 1 + sum(values_in(one, counted) for one in inner)
    return counted[id(node)]


def every_node(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every node with its path, parents first."""
    yield path, node
    for key, value in node.entries:
        yield from every_node(value, (*path, key.text))
    for at, item in enumerate(node.items):
        yield from every_node(item, (*path, at))


def replaced(node: Node, path: tuple[str, ...], value: Node) -> Node:
    """The tree with another value at a path of mappings, added where there was none."""
    if not path:
        return value
    held = child(node, path[0])
    inner = held if held is not None and (held.kind == "mapping" or len(path) == 1) else Node("mapping", value.span)
    entry: Entry = (Node("text", value.span, path[0]), replaced(inner, path[1:], value))
    if child(node, path[0]) is None:
        return node._replace(entries=(*node.entries, entry))
    return node._replace(entries=tuple(entry if key.text == path[0] else (key, one) for key, one in node.entries))
