"""Broken saved traces: `show` says what is wrong, and where; `python -m tests.hostile.fuzz` makes them at random."""

import io
import json
import sys

import pytest

from vit_trace.cli.app import run
from vit_trace.dims.saved import saved_trace
from vit_trace.render.legible import HANDLER


def shown(document: bytes, words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit code of `show -` of a document, and all that it writes."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors=HANDLER) for _ in range(2)]
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


def test_a_document_read_and_written_is_the_same(documents):
    for document in documents:
        assert saved_trace(document).to_json().encode() == document


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
