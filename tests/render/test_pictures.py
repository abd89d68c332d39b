"""Pictures and graphs are read by the tools that they are for: XML, Graphviz, Mermaid in a browser, Model Explorer."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from helpers.browser import chromium, watched_page
from helpers.commands import call

import vit_trace
from vit_trace.render.graphs import dot, mermaid, model_explorer
from vit_trace.view.flow import flow_of

NAMES = [
    '"quoted"',
    "<b>bold</b>",
    "a|b",
    "end",
    "x;y",
    "{brace}",
    "back\\slash",
    "#35;",
    "%%c",
    "--> z",
    "`tick`",
    "κ 数",
]
"""What the tools would read as their own signs."""


@pytest.fixture(scope="module")
def trace():
    return vit_trace.trace("timm:vit_tiny_patch16_224", depth=2)


@pytest.fixture(scope="module")
def odd(trace):
    """The same with odd names."""
    held = json.loads(trace.to_json())
    for place, stage in enumerate(held["stages"]):
        stage["operation"] = NAMES[place % len(NAMES)]
        stage["name"] = stage["name"] and f"{stage['name']}{NAMES[place % len(NAMES)]}"
    return vit_trace.Trace.from_json(json.dumps(held))


def test_who_feeds_whom(trace):
    flow = flow_of(trace)
    named = {box.number: box.row.label for box in flow.boxes}
    edges = {(named[start], named[end]) for start, end in flow.edges}
    assert {("x", "proj"), ("proj", "flatten"), ("pos_drop", "norm1"), ("norm1", "qkv"), ("head_drop", "head")} <= edges
    assert [(group.label, len(group.starts)) for group in flow.groups] == [("blocks.0…1", 2)]
    residual = [end for start, end in flow.edges if named[start] == "pos_drop"]
    assert [named[end] for end in residual] == ["norm1", "x"]  # the block's input, and past attention to its sum


@pytest.mark.parametrize("which", ["trace", "odd"])
def test_svg_is_xml(which, request):
    root = ElementTree.fromstring(request.getfixturevalue(which).to_svg())
    assert root.tag.endswith("svg") and int(root.attrib["width"]) <= 1600
    texts = ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "2×197×192" in texts


@pytest.mark.parametrize("which", ["trace", "odd"])
def test_graphviz_draws_it(which, request):
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    flow = flow_of(request.getfixturevalue(which))
    drawn = subprocess.run(["dot", "-Tjson"], input=dot(flow), capture_output=True, text=True, check=True)
    found = json.loads(drawn.stdout)
    assert len(found["edges"]) == len(flow.edges) and drawn.stderr == ""
    if which == "odd":
        assert any("<b>bold</b>" in one.get("label", "") for one in found["objects"])


@pytest.mark.parametrize("which", ["trace", "odd"])
def test_mermaid_draws_it(which, request, tmp_path):
    source = Path(os.environ.get("VIT_TRACE_NODE", ""), "node_modules", "mermaid", "dist", "mermaid.min.js")
    if not source.exists():
        pytest.skip("mermaid is not installed: set VIT_TRACE_NODE to a folder with its node_modules")
    flow = flow_of(request.getfixturevalue(which))
    with chromium() as browser:
        page, said = watched_page(browser)
        (tmp_path / "page.html").write_text("<meta charset=utf-8><div id=here></div>")
        page.goto(f"file://{tmp_path}/page.html")
        page.add_script_tag(content=source.read_text())
        svg = page.evaluate("text => mermaid.render('drawn', text).then(found => found.svg)", mermaid(flow))
        page.evaluate("svg => document.getElementById('here').innerHTML = svg", svg)
        texts = page.evaluate("[...document.querySelectorAll('.nodeLabel')].map(one => one.textContent).join('\\n')")
    assert svg.count('class="node default') == len(flow.boxes)
    assert said == []
    for box in flow.boxes:
        assert box.row.operation in texts, box.row.operation
    assert which == "trace" or sum(name in texts for name in NAMES) >= 10


def test_model_explorer_has_every_step_in_the_layers_of_its_modules(trace):
    collection = model_explorer(trace)
    assert collection.keys() == {"label", "graphs"}  # its app opens this, and says "Unsupported JSON format" of a list
    nodes = {node["id"]: node for node in collection["graphs"][0]["nodes"]}
    sources = {edge["sourceNodeId"] for node in nodes.values() for edge in node["incomingEdges"]}
    assert sources <= nodes.keys()
    [qkv] = [one for one in nodes.values() if {"key": "name", "value": "blocks.1.attn.qkv"} in one["attrs"]]
    assert qkv["namespace"] == "blocks/1/attn" and qkv["label"] == "Linear"
    assert qkv["outputsMetadata"][0]["attrs"][0] == {"key": "shape", "value": "2×197×576"}


def test_model_explorers_own_classes_take_it(trace):
    builder = pytest.importorskip("model_explorer.graph_builder", reason="ai-edge-model-explorer is not installed")
    collection = model_explorer(trace)
    for node in collection["graphs"][0]["nodes"]:
        builder.GraphNode(**node)
        [builder.IncomingEdge(**edge) for edge in node["incomingEdges"]]
        [builder.MetadataItem(**made) for made in node["outputsMetadata"]]


@pytest.mark.parametrize("suffix", ["html", "svg", "mmd", "dot"])
def test_files_are_written_by_their_suffix(suffix, tmp_path, capsys):
    found = call(capsys, "--depth", "1", "--no-formulas", "-o", tmp_path / f"trace.{suffix}")
    assert found.code == 0 and found.err == f"wrote {tmp_path}/trace.{suffix}\n"
    starts = dict(html="<!doctype html>", svg="<svg", mmd="flowchart TD", dot="digraph {")
    assert (tmp_path / f"trace.{suffix}").read_text().lstrip().startswith(starts[suffix])
