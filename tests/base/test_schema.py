"""The saved form: the schema file is that of the records, and real traces fit it."""

import json
from inspect import cleandoc

import jsonschema
import pytest
from helpers.places import PACKAGE

from vit_trace.base.trace import Trace, TraceFormatError, json_schema
from vit_trace.config import ViTConfig
from vit_trace.probing.run import run_target
from vit_trace.targets.builtin import builtin

FILE = PACKAGE / "schema.json"
TRACE = run_target(builtin(ViTConfig(depth=1)))


def test_schema_file_is_generated_from_the_records():
    """Made by: python -m vit_trace.base.trace > vit_trace/schema.json"""
    assert in_order(json.loads(FILE.read_text())) == in_order(json.loads(json.dumps(json_schema())))


def in_order(schema):
    """The schema with alternatives in one order and docstrings unindented: releases of msgspec and Python differ."""
    if isinstance(schema, dict):
        found = {name: in_order(value) for name, value in schema.items()}
        return found | ({"anyOf": sorted(found["anyOf"], key=json.dumps)} if "anyOf" in found else {})
    if isinstance(schema, str):
        return cleandoc(schema)
    return [in_order(one) for one in schema] if isinstance(schema, list) else schema


def test_a_real_trace_fits_the_schema_and_comes_back_equal():
    text = TRACE.to_json()
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(text))
    assert Trace.from_json(text) == TRACE
    broken = json.loads(text)
    broken["stages"][3]["outputs"][0]["shape"] = "5x65"
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(broken)


def test_keys_of_the_contract():
    document = json.loads(TRACE.to_json())
    assert list(document)[:6] == ["schema", "versions", "target", "symbols", "construction", "parameters"]
    assert document["target"]["class"] == "ViT"
    assert document["symbols"]["n"] == {"value": 64, "formula": "h*w", "meaning": "patches"}
    dots = next(stage for stage in document["stages"] if stage["name"] == "transformer.layers.0.0.fn.dots")
    assert dots["outputs"][0]["dims"] == ["b", "heads", "n + 1", "n + 1"]
    assert set(dots) >= {"index", "parent", "module", "kind", "operation", "pattern", "inputs", "source", "flops"}
    assert {"name": "pos_embedding", "shape": [1, 65, 1024], "dims": ["1", "n + 1", "dim"]}.items() <= next(
        parameter for parameter in document["parameters"] if parameter["name"] == "pos_embedding"
    ).items()


def test_stages_that_hang_together_wrongly_are_refused():
    document = json.loads(TRACE.to_json())
    document["stages"][4]["parent"] = 9999
    with pytest.raises(TraceFormatError, match="9999"):
        Trace.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"schema": "vit-trace/2"}', "\x00", '{"schema": "vit-trace/1"}']
)
def test_what_is_no_trace_is_refused(text):
    with pytest.raises(TraceFormatError):
        Trace.from_json(text)
    with pytest.raises(TraceFormatError):
        Trace.from_json(TRACE.to_json().encode()[:-40])
