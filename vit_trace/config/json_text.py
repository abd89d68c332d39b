"""Reads the text of a JSON file; finds the place of each key and value, and numbers that are too long for a size."""

import itertools
import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path as FilePath
from typing import NamedTuple

from vit_trace.base.roles import Path
from vit_trace.base.trace import Source
from vit_trace.config.files import MAX_JSON, FileProblem, read_regular
from vit_trace.config.words import line_span

GAP = re.compile(r"[ \t\n\r]*")
DEEPEST = 20
"""Levels of nesting below which no spans are kept."""


MAX_DIGITS = 18
"""Digits of the longest whole number that is read: torch counts with 64 bits."""

_LONG = re.compile(rf"[0-9]{{{MAX_DIGITS + 1}}}")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?([0-9]+)(\.[0-9]+)?(?:[eE][+-]?[0-9]+)?')


def json_file(file: FilePath) -> str:
    """The text of a JSON file, without its byte order mark. Raises FileProblem, UnicodeDecodeError."""
    return read_regular(file, "a config", MAX_JSON).decode("utf-8-sig")


def long_number(text: str, file: str) -> Source | None:
    """The place of the first whole number that is too long to be a size; None without one."""
    for found in _TOKEN.finditer(text) if _LONG.search(text) else ():
        if found[1] and not found[2] and len(found[1]) > MAX_DIGITS:
            start = text.rfind("\n", 0, found.start()) + 1
            end = text.find("\n", start)
            line = text[start : None if end < 0 else end].rstrip("\r")
            column = found.start() - start
            return line_span(file, text.count("\n", 0, start) + 1, line, column, column + len(found[0]))
    return None


class JsonSpans(NamedTuple):
    """The spans of a text's keys and of its values, by their path: ("vision_config", "hidden_size")."""

    keys: dict[Path, Source]
    values: dict[Path, Source]


def json_places(spec: str) -> JsonSpans | None:
    """The places in the config.json that a spec names; None where it names something else."""
    path = FilePath(spec)
    file = path / "config.json" if os.path.isdir(path) else path
    if file.suffix.lower() != ".json":
        return None
    try:
        return json_spans(json_file(file), str(file))
    except (FileProblem, ValueError, LookupError, RecursionError):  # reading it for the model says what is wrong
        return None


def json_spans(text: str, file: str) -> JsonSpans:
    """The spans in a JSON text; below 20 levels they are left out."""
    found = JsonSpans({}, {})
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    lines = text.split("\n")

    def span(start: int, end: int) -> Source:
        line = bisect_right(starts, start) - 1
        column = start - starts[line]
        end_column = min(end - starts[line], len(lines[line]))
        return Source(file, line + 1, line + 1, column, max(end_column, column + 1), lines[line].rstrip("\r"))

    for path, key, value in _walk(text, _after_gap(text, 0), ()):
        found.values[path] = span(*value)
        if key is not None:
            found.keys[path] = span(*key)
    return found


def _after_gap(text: str, place: int) -> int:
    found = GAP.match(text, place)
    return found.end() if found else place


Span = tuple[int, int]


def _walk(text: str, place: int, path: Path) -> Iterator[tuple[Path, Span | None, Span]]:
    """(path, span of its key, span of its value) of everything in an object, or in a list, which has no keys."""
    if text[place : place + 1] not in ("{", "["):  # a number or a text alone
        return
    is_object, key = text[place] == "{", None
    place = _after_gap(text, place + 1)
    for count in itertools.count():
        if text[place] in "}]":
            return
        step: str | int = count
        if is_object:
            step, end = scanstring(text, place + 1, True)
            key = (place, end)
            place = _after_gap(text, _after_gap(text, end) + 1)
        _, end = json.JSONDecoder().raw_decode(text, place)
        yield (*path, step), key, (place, end)
        if text[place] in "{[" and len(path) < DEEPEST:
            yield from _walk(text, place, (*path, step))
        place = _after_gap(text, end)
        if text[place] == ",":
            place = _after_gap(text, place + 1)
