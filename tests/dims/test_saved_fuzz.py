"""Mutated saved traces: `show` says what is wrong (2) or shows them (0), in time, and no control character gets out."""

import io
import json
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from vit_trace.__main__ import main  # noqa: F401  # what a process imports
from vit_trace.cli.app import run
from vit_trace.dims.saved import saved_trace

MANY = int(os.environ.get("VIT_TRACE_MUTANTS", "600"))
"""Mutants of the slow suite."""

NUMBERS = (-1, 0, 1, -5, 2**31, 2**63, 2**64, 10**29, 10**31, -(10**40), *range(-2, 300))
TEXTS = ("", "a", "\x1b[31m", "\n", "\udcff", " ", "x" * 300, "H//0", "(", "a*" * 500 + "a", "dim*" * 12 + "dim")
TEXTS += ("-" * 300 + "1", "min(dim)", "min(1,2)", "0x" + "f" * 200, "nosuch", "dim[0]", "dim[9]", "1//(dim-dim)")
TEXTS += ("9" * 25, "10**9", "[]", "lambda: 1", "dim if 1 else 2", "/dev/zero", "/tmp", "999999999999999999*dim*dim")
TEXTS += ("dim", "depth", "heads*dim_head", "h*w+1", "b", "c*p1*p2", "H//p1", "n+1", "1,2", "p1//p2//0", "-dim")
OTHERS = (None, True, False, [], {}, [[[[[]]]]], {"a": {"b": [1]}}, 1e308, -1.5)
INSIDE = {"dims", "formula", "symbols", "hyperparameters", "shape", "value", "construction", "source", "span", "labels"}
CHANGES: list[list[str]] = [[], [], ["--with", "b=3"], ["--with", "image_size=512"], ["--with", "dim=64"]]
CHANGES += [["--with", "H=96", "--with", "W=128"], ["--with", f"b={'9' * 18}"], ["--with", f"dim={'9' * 500}"]]
SCREENS: list[list[str]] = [[], ["--view", "tree"], ["--view", "source"], ["--format", "json"], ["--no-fold"]]
SCREENS += [["--format", "markdown"], ["--format", "python"], ["--levels", "1"], ["--stage", "*1*"], ["--traceback"]]
WIDTHS = ("0", "1", "5", "40", "80", "200")

Path = tuple[str | int, ...]


def paths_in(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of everything inside a document."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*path, step)
        yield from paths_in(inner, (*path, step))


def mutated(document: bytes, chance: random.Random) -> bytes:
    """The document with a few values, or a few bytes, of it changed."""
    if chance.random() < 0.1:
        raw = bytearray(document)
        place = chance.randrange(len(raw))
        raw[place : place + chance.randint(0, 9)] = chance.choice([b"", b"9" * 50, b"[" * 2000, b"\xff", b'"'])
        return bytes(raw)
    tree = json.loads(document)
    every = list(paths_in(tree))
    inside = [path for path in every if INSIDE & {str(step) for step in path}]
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        *path, last = chance.choice(chance.choice([every, inside]))
        holder = tree
        try:
            for step in path:
                holder = holder[step]
            holder[last] = changed(holder[last], chance)
        except (KeyError, IndexError, TypeError):  # an earlier change took it away
            continue
    return json.dumps(tree).encode()


def changed(value: Any, chance: random.Random) -> Any:
    """Another value, most often of the same kind."""
    if chance.random() < 0.1:
        return chance.choice((*OTHERS, *TEXTS, *NUMBERS[:10]))
    if isinstance(value, str):
        return chance.choice(TEXTS)
    if isinstance(value, int):
        return chance.choice(NUMBERS)
    if isinstance(value, list) and value:
        return chance.choice([value[1:], [*value, value[0]], [], value[::-1]])
    return chance.choice(OTHERS)


def shown(document: bytes, words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit code of `show -` of a document, and all that it writes."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors="vit-trace-plain") for _ in range(2)]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(document)))
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    code = run(["show", "-", *words])
    for stream in streams:
        stream.flush()
    return code, "".join(stream.buffer.getvalue().decode() for stream in streams)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def documents() -> list[bytes]:
    """A trace that ran and one that failed, each with the model's source."""
    from vit_trace.cli.tracing import run_trace
    from vit_trace.targets.request import Request

    small = {"depth": "1", "dim": "32"}
    requests = (Request(small), Request(small, inputs=("2x3x288x288",)))
    return [run_trace(None, request, needs_source=True).to_json().encode() for request in requests]


@pytest.mark.parametrize("count", [40, pytest.param(MANY, marks=pytest.mark.slow)])
def test_a_mutated_trace_is_shown_or_refused(documents, count, monkeypatch):
    for document in documents:
        assert saved_trace(document).to_json().encode() == document
    codes = []
    for number in range(count):
        chance = random.Random(number)
        document = mutated(chance.choice(documents), chance)
        words = [*chance.choice(CHANGES), *chance.choice(SCREENS)]
        monkeypatch.setitem(os.environ, "COLUMNS", chance.choice(WIDTHS))
        code, text = shown(document, words, monkeypatch)
        assert code in (0, 2), (number, words, text[-2000:])
        odd = [letter for letter in text if not letter.isprintable() and letter not in "\n\t\f"]
        assert not odd, (number, words, odd)
        codes.append(code)
    assert {0, 2} == set(codes)


BROKEN = [
    (("symbols", "n", "formula"), "h*", "symbols.n: 'h*' is not a formula"),
    (("symbols", "n", "formula"), "n + 1", "symbols.n follows from itself"),
    (("stages", 1, "outputs", 0, "dims", 0), "zz", "names zz, which is no symbol"),
    (("stages", 1, "outputs", 0, "dims", 0), "-" * 300 + "1", "nested more than"),
    (("stages", 1, "outputs", 0, "dims", 0), "b*" * 2000 + "b", "characters"),
    (("stages", 1, "outputs", 0, "shape", 0), 10**40, "a number above 10^30"),
    (("stages", 1, "outputs", 0, "shape", 0), -7, "stages[1].outputs[0] has"),
    (("parameters", 0, "dims", 0), "10**9", "parameters[0].dims[0]: "),
]


@pytest.mark.parametrize(("path", "value", "says"), BROKEN)
def test_a_broken_trace_is_told_with_its_place(documents, path, value, says, monkeypatch):
    tree = holder = json.loads(documents[0])
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    code, text = shown(json.dumps(tree).encode(), [], monkeypatch)
    assert code == 2 and "not-a-trace" in text and says in text
