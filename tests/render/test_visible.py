"""No control character of a name, a note or a message reaches a stream, in any screen and format of any subject."""

import io
import json
import struct

import pytest
from msgspec.structs import replace

from vit_trace.base.trace import Diagnostic, Source
from vit_trace.check.verdict import Verdict
from vit_trace.render.console import console_for
from vit_trace.render.diagnostics import concise, print_diagnostic
from vit_trace.render.formats import formats_of
from vit_trace.render.legible import printable, visible, visible_json
from vit_trace.view.screen import VIEWS, Screen, Viewed

ODD = "a\x1b[31m\x07b\rc\x9b2Jd\u202ee\udcfff\x7f"
"""An escape sequence, a bell, a return, a C1 control, a change of direction, a byte that is not UTF-8."""


def written(subject, name, content) -> str:
    stream = io.StringIO()
    formats_of(subject)[name].write(content, stream)
    return stream.getvalue()


def hidden(text: str) -> set[str]:
    return {letter for letter in text if not letter.isprintable() and letter not in "\n\t\f"}


def finding(text: str) -> Diagnostic:
    span = Source(f"{text}.yaml", 1, 1, 0, len(text), text)
    return Diagnostic("unknown-key", "error", text, span, (text, f"{text}\n{text}"), (text,))


@pytest.fixture(scope="module")
def odd_trace():
    """A trace whose every text of one kind is odd."""
    from vit_trace.cli.tracing import run_trace
    from vit_trace.targets.request import Request

    trace = run_trace(None, Request({"depth": "1", "dim": "32"}), needs_source=True)
    stages = tuple(replace(one, name=f"{one.name}{ODD}", operation=ODD) for one in trace.stages)
    listing = tuple(
        replace(one, class_=f"{one.class_}{ODD}", function=ODD, problem=ODD, modules=(ODD,)) for one in trace.listing
    )
    target = replace(trace.target, class_=ODD, hyperparameters={"dim": ODD})
    return replace(trace, stages=stages, listing=listing, target=target, diagnostics=(finding(ODD),))


@pytest.mark.parametrize("name", [name for name in formats_of("trace") if name != "python"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_trace(odd_trace, name, view):
    text = written("trace", name, Viewed(odd_trace, Screen(view=view)))
    assert not hidden(text) and ("x1b" in text or "u001b" in text)
    if name == "json":
        json.loads(text)


@pytest.mark.parametrize("name", [name for name in formats_of("check") if name != "mapping"])  # of tensors
def test_verdicts(name):
    text = written("check", name, [Verdict(ODD, (finding(ODD), finding(f"{ODD}\n::error::{ODD}")))])
    assert not hidden(text) and ("x1b" in text or "u001b" in text)
    if name in ("json", "sarif"):
        json.loads(text)
    if name in ("concise", "github"):
        assert len(text.splitlines()) == 3


@pytest.mark.parametrize("name", formats_of("checkpoint"))
def test_a_checkpoint(name, tmp_path):
    from vit_trace.weights.files import read
    from vit_trace.weights.holding import holding

    file = tmp_path / "a\x1b[31mb\n.safetensors"
    header = json.dumps({ODD: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    held = holding(read(file))
    if held.spec is None and name in ("config", "yaml"):
        pytest.skip("no model to write")
    assert not hidden(written("checkpoint", name, held))


def test_a_diagnostic():
    stream = io.StringIO()
    print_diagnostic(console_for(stream, 40), finding(ODD))
    assert not hidden(stream.getvalue()) and not hidden(concise(finding(ODD))) and "\n" not in concise(finding("a\nb"))


def test_every_character_is_printable_afterwards():
    every = "".join(map(chr, [*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFE00, 0x10000)]))
    assert printable(every).isprintable() and not hidden(visible(every))
    text = json.dumps("".join(map(chr, range(0x3000))), ensure_ascii=False)
    assert not hidden(visible_json(text)) and json.loads(visible_json(text)) == json.loads(text)
