"""Writes who feeds whom for other tools: Mermaid, Graphviz, and the graph format of Google's Model Explorer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vit_trace.base.trace import Stage, TensorSpec, Trace
from vit_trace.base.words import shape_text
from vit_trace.dims.formula import on_screen
from vit_trace.render.cells import has_formula
from vit_trace.render.legible import printable
from vit_trace.view.flow import Box, Flow
from vit_trace.view.outline import operation


def mermaid(flow: Flow) -> str:
    """A flowchart for Mermaid: https://mermaid.js.org/syntax/flowchart.html."""
    lines = ["flowchart TD"]
    for group, boxes in _grouped(flow):
        indent = "    " if group is None else "        "
        if group is not None:
            lines.append(f"    subgraph g{group}[{_quoted(_for_mermaid(_group_label(flow, group)))}]")
        lines += [f"{indent}s{box.number}[{_quoted('<br>'.join(map(_for_mermaid, _texts(box))))}]" for box in boxes]
        lines += ["    end"] if group is not None else []
    lines += [f"    s{start} --> s{end}" for start, end in flow.edges]
    return "\n".join(lines) + "\n"


def dot(flow: Flow) -> str:
    """A digraph for Graphviz: https://graphviz.org/doc/info/lang.html."""
    lines = ["digraph {", "  node [shape=box, style=rounded, fontname=sans]"]
    for group, boxes in _grouped(flow):
        if group is not None:
            lines += [f"  subgraph cluster{group} {{", f"  label={_dot_text([_group_label(flow, group)])}"]
        lines += [f"  s{box.number} [label={_dot_text(_texts(box))}]" for box in boxes]
        lines += ["  }"] if group is not None else []
    lines += [f"  s{start} -> s{end}" for start, end in flow.edges]
    return "\n".join((*lines, "}")) + "\n"


def model_explorer(trace: Trace) -> dict[str, Any]:
    """A graph collection for Model Explorer: every step in the layers of its modules.

    It opens a file of one, and none of a list of them. The format is that of `model_explorer.graph_builder`: https://github.com/google-ai-edge/model-explorer.
    """
    around = {stage.parent for stage in trace.stages}
    steps = [stage for stage in trace.stages if stage.index not in around]
    shown = {stage.index for stage in steps}
    nodes = [_node(trace.stages, stage, shown) for stage in steps]
    return {"label": printable(trace.target.class_), "graphs": [{"id": "forward", "nodes": nodes}]}


def _node(stages: Sequence[Stage], stage: Stage, shown: set[int]) -> dict[str, Any]:
    above = stages[stage.parent].module if stage.parent is not None else ""
    made = [(one, place) for place, one in enumerate(stage.fed_by) if isinstance(one, int) and one in shown]
    lists = {
        "mixes": ", ".join(stage.mixes or ()),
        "FLOPs": str(stage.flops or ""),
        "parameters": str(stage.parameters or ""),
    }
    lists["source"] = f"{stage.source.file}:{stage.source.line}" if stage.source else ""
    lists["parameter"] = ", ".join(one for one in stage.fed_by if isinstance(one, str))
    return {
        "id": str(stage.index),
        "label": printable(operation(stage, sized=False)),
        "namespace": printable(above.replace(".", "/")),
        "attrs": [
            {"key": key, "value": printable(value)} for key, value in {"name": stage.name, **lists}.items() if value
        ],
        "incomingEdges": [
            {"sourceNodeId": str(maker), "sourceNodeOutputId": "0", "targetNodeInputId": str(place)}
            for maker, place in made
        ],
        "outputsMetadata": [
            {"id": str(place), "attrs": [{"key": key, "value": value} for key, value in _told(spec)]}
            for place, spec in enumerate(stage.outputs)
        ],
    }


def _told(spec: TensorSpec) -> Iterator[tuple[str, str]]:
    yield "shape", shape_text(spec.shape)
    if has_formula(spec):
        yield "formula", " × ".join(map(on_screen, spec.dims))
    yield "dtype", spec.dtype


def _grouped(flow: Flow) -> Iterator[tuple[int | None, list[Box]]]:
    """The boxes outside of open blocks one by one, and those of each together."""
    for number in range(len(flow.groups)):
        yield number, [box for box in flow.boxes if box.group == number]
    yield None, [box for box in flow.boxes if box.group is None]


def _group_label(flow: Flow, number: int) -> str:
    group = flow.groups[number]
    return f"{printable(group.label)} ×{len(group.starts)}"


def _texts(box: Box) -> list[str]:
    """What a box says: its name, what it does, what it makes."""
    row = box.row
    name = (printable(row.label) or "model") + row.times
    stage = row.node.stage if row.node is not None else None
    made = row.shapes or (stage.outputs if stage is not None else ())
    formula = " × ".join(map(on_screen, made[0].dims)) if made and has_formula(made[0]) else ""
    texts = name, printable(row.operation), shape_text(made[0].shape) if made else "", formula
    return [text for text in texts if text]


def _quoted(text: str) -> str:
    return f'"{text}"'


def _for_mermaid(text: str) -> str:
    """Text that Mermaid takes as it is: its marks as numbered entities."""
    return "".join(one if one.isalnum() or one in " .,_×·÷⌈⌉→+-()[]" else f"#{ord(one)};" for one in text)


def _dot_text(texts: Sequence[str]) -> str:
    """A string of DOT with one text a line."""
    return '"{}"'.format("\\n".join(text.replace("\\", "\\\\").replace('"', '\\"') for text in texts))
