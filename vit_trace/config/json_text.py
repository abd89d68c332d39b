"""Finds the place of each key and value in a JSON text. The text must be valid JSON."""

import itertools
import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path as FilePath
from typing import NamedTuple

from vit_trace.base.roles import Path
from vit_trace.base.trace import Source

GAP = re.compile(r"[ \t\n\r]*")
DEEPEST = 20
"""Levels of nesting below which no spans are kept."""


class JsonSpans(NamedTuple):
    """The spans of a text's keys and of its values, by their path: ("vision_config", "hidden_size")."""

    keys: dict[Path, Source]
    values: dict[Path, Source]


def json_places(spec: str) -> JsonSpans | None:
    """The places in the config.json that a spec names; None where it names something else."""
    path = FilePath(spec)
    file = path / "config.json" if path.is_dir() else path
    if file.suffix.lower() != ".json":
        return None
    try:
        return json_spans(file.read_text(encoding="utf-8"), str(file))
    except (OSError, ValueError, LookupError, RecursionError):  # reading it for the model says what is wrong
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
