"""What to show of a trace: an outline of rows, folded and filtered, every number decided. No layout, no colour.

The flat stages become a tree again, equal consecutive blocks become one block with a count, and each row knows what it
stands for, so that any renderer can lay the same rows out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vit_trace.base.trace import Construction, Source, Stage, TensorSpec, Trace, Value
from vit_trace.base.words import SIGNS, bytes_text, compact, name_range, shape_text
from vit_trace.dims.values import UNKNOWN
from vit_trace.view.fold import Folder, Node, close_alike, matching, range_label, tree

LONG = 120
"""Rows from which blocks that are like one above, at other sizes, are closed."""

MANY_IDLE = 4
"""nn.Identity modules from which folded views leave them out."""

MANY_QUANTITIES = 16
"""Quantities of constructors from which only the model's own are shown, not those of modules inside it."""

SHORT_TEXT = 28
"""Characters of source text that may stand for an operation."""


@dataclass(frozen=True)
class Row:
    """One line of a view.

    `repeats` is how many equal blocks the row stands for, `each` whether its numbers are for one of several blocks;
    `parameters` and `flops` are its own, or those of everything hidden below it.
    """

    level: int
    label: str
    operation: str = ""
    shapes: tuple[TensorSpec, ...] = ()
    before: tuple[TensorSpec, ...] = ()
    repeats: int = 1
    parameters: int = 0
    flops: int = 0
    source: Source | None = None
    heading: bool = False
    failed: bool = False
    value: str = ""
    formula: str = ""
    stage: int | None = None


@dataclass(frozen=True)
class Outline:
    """The rows of a view, and what its last line says."""

    title: tuple[str, ...]
    construction: tuple[Row, ...]
    rows: tuple[Row, ...]
    shown: int
    folded: int
    closed: int
    trace: Trace


# -- rows ----------------------------------------------------------------------------------------------------------


def outline(trace: Trace, stage: str | None = None, levels: int | None = None, fold: bool = True) -> Outline:
    """What to show of a trace.

    Args:
        stage: only stages whose name fits this glob, with what is inside and around them.
        levels: rows of this depth at the most; what is hidden is summed in the row that hides it.
        fold: show equal consecutive blocks once.
    """
    nodes = tree(trace)
    if stage is not None:
        nodes = matching(nodes, stage) or matching(tree(trace), f"*.{stage}")
    nodes = [inner for node in nodes for inner in (node.children if is_root(node) else [node])]
    if fold:
        if stage is None and sum(map(count_idle, nodes)) >= MANY_IDLE:
            nodes = without_idle(nodes)
        nodes = Folder().fold(nodes)
        nodes = without_wrappers(nodes) if levels is None else nodes
    failed = trace.failure.stage if trace.failure else None
    rows = tuple(row for node in nodes for row in node_rows(node, 0, "", levels, fold, failed))
    closed = 0
    if fold and len(rows) > LONG and (stage, levels, failed) == (None, None, None):
        closed = close_alike(nodes)
        rows = tuple(row for node in nodes for row in node_rows(node, 0, "", levels, fold, failed))
    shown = sum(1 for row in rows if row.stage is not None)
    folded = max((row.repeats for row in rows if row.repeats > 1 and row.heading), default=0)
    construction = construction_rows(trace) if stage is None else ()
    return Outline(title(trace), construction, rows, shown, folded, closed, trace)


def without_idle(nodes: list[Node]) -> list[Node]:
    """The nodes without nn.Identity: a model full of them keeps places for what its variants have."""
    kept = [node for node in nodes if not is_idle(node)]
    for node in kept:
        node.children = without_idle(node.children)
    return kept


def count_idle(node: Node) -> int:
    return is_idle(node) + sum(map(count_idle, node.children))


def is_idle(node: Node) -> bool:
    stage = node.stage
    return stage.kind == "module" and stage.operation == "Identity" and not node.children and bool(stage.outputs)


def without_wrappers(nodes: list[Node]) -> list[Node]:
    """The nodes without modules that only hold one other: `blocks.0…11` stands for itself."""
    return [unwrapped(node) for node in nodes]


def unwrapped(node: Node) -> Node:
    if node.block is not None:
        node.block = without_wrappers(node.block)
        return node
    node.children = without_wrappers(node.children)
    stage = node.stage
    own = stage.parameters or stage.flops or not stage.outputs
    if stage.kind != "module" or node.repeats > 1 or own or len(node.children) != 1:
        return node
    inner = node.children[0]
    below = inner.block is not None or (inner.stage.kind == "module" and inner.children)
    return inner if below else node


def is_root(node: Node) -> bool:
    return node.stage.kind == "module" and node.stage.module == ""


def node_rows(node: Node, level: int, prefix: str, levels: int | None, fold: bool, failed: int | None) -> Iterator[Row]:
    """The row of a node and the rows inside it."""
    if node.block is not None:
        total = node.repeats * sum(inclusive(inner)[0] for inner in node.block)
        flops = node.repeats * sum(inclusive(inner)[1] for inner in node.block)
        label = relative(node.block_label, prefix)
        yield Row(level, label, repeats=node.repeats, parameters=total, flops=flops, heading=True)
        if levels is None or level + 1 < levels:
            for inner in node.block:
                yield from node_rows(inner, level + 1, node.labels[0], levels, fold, failed)
        return
    stage = node.stage
    hidden = levels is not None and level + 1 >= levels
    children = [] if node.like or (fold and says_nothing_new(node)) else node.children
    heading = bool(children) and not hidden
    parameters, flops = (stage.parameters, stage.flops) if heading and node.repeats == 1 else inclusive(node)
    yield Row(
        level,
        node_label(node, prefix),
        f"{operation(stage)}, as {node.like}" if node.like else operation(stage),
        stage.inputs if stage.index == failed else stage.outputs,
        stage.inputs,
        node.repeats,
        parameters,
        flops,
        stage.source,
        heading,
        stage.index == failed,
        stage=stage.index,
    )
    if heading:
        base = stage.module or prefix
        for child in children:
            yield from node_rows(child, level + 1, base, levels, fold, failed)


def inclusive(node: Node) -> tuple[int, int]:
    """(parameters, FLOPs) of a node and all inside it, all repetitions counted."""
    inside = node.block if node.block is not None else node.children
    own = (0, 0) if node.block is not None else (node.stage.parameters, node.stage.flops)
    sums = [inclusive(child) for child in inside]
    return (
        node.repeats * (own[0] + sum(one for one, _ in sums)),
        node.repeats * (own[1] + sum(two for _, two in sums)),
    )


def says_nothing_new(node: Node) -> bool:
    """Whether the inside of a module is one function that gives what the module gives: F.layer_norm in a LayerNorm."""
    if len(node.children) != 1 or node.children[0].children:
        return False
    inner = node.children[0].stage
    return inner.kind == "function" and bool(inner.outputs) and inner.outputs == node.stage.outputs


def node_label(node: Node, prefix: str) -> str:
    """The name to show: relative to the heading above, all names of a folded run."""
    if node.stage.kind in ("function", "einops"):
        prefix = node.stage.module
    names = [relative(name, prefix) for name in (node.labels or [node.stage.name])]
    if len(names) == 1:
        return names[0]
    if node.stage.kind == "module":
        return range_label([[name] for name in names])[0]
    if len(names) <= 4:
        return ", ".join(names)
    return f"{names[0]}…"


def relative(name: str, prefix: str) -> str:
    """`name` without the module path that the heading above shows already, nor a count of repetitions."""
    name = name.split("#")[0]
    return name[len(prefix) + 1 :] if prefix and name.startswith(prefix + ".") else name


def operation(stage: Stage) -> str:
    """What a stage does, in a few words."""
    if stage.pattern:
        pattern = stage.pattern.replace("->", "→")
        return pattern if stage.operation in ("Rearrange", "rearrange") else f"{stage.operation} {pattern}"
    if stage.kind != "function":
        return stage.operation
    text = stage.source.text if stage.source else ""
    written = stage.operation in SIGNS or stage.operation == "getitem"
    if written and 0 < len(text) <= SHORT_TEXT and "\n" not in text:
        return text
    word = SIGNS.get(stage.operation, stage.operation)
    given = [spec.shape for spec in stage.inputs]
    others = given if stage.operation in ("cat", "stack") else [shape for shape in given[1:] if shape != given[0]]
    if 0 < len(others) <= 3 and stage.operation not in ("linear", "conv2d"):
        return f"{word} {', '.join(shape_text(shape) for shape in others)}"
    return word


# -- constructor and title -----------------------------------------------------------------------------------------


def construction_rows(trace: Trace) -> tuple[Row, ...]:
    """What the constructor worked out, then the parameters that no module below the root holds."""
    groups = list(distinct(trace.construction))
    shown = [records for records in groups if not records[0].module] if len(groups) > MANY_QUANTITIES else groups
    rows = [construction_row(records) for records in shown]
    if len(shown) < len(groups):
        rows.append(Row(0, f"… {len(groups) - len(shown)} more", "in modules inside"))
    for parameter in trace.parameters:
        if "." not in parameter.name:
            tensor = TensorSpec("", parameter.shape, parameter.dims, parameter.dtype)
            count = 1
            for size in parameter.shape:
                count *= size
            rows.append(Row(0, parameter.name, "parameter", (tensor,), parameters=count))
    return tuple(rows)


def construction_row(records: list[Construction]) -> Row:
    """One line of source that bound one or more quantities, in one or more equal modules."""
    first, last = records[0], records[-1]
    bound = [record for record in records if record.module == first.module]
    return Row(
        0,
        ", ".join(record.name for record in bound),
        name_range(first.module, last.module),
        value=", ".join(value_text(record.value) for record in bound),
        formula=", ".join(record.formula for record in bound if record.formula and not record.formula.isdigit()),
        source=first.source,
    )


def distinct(construction: Sequence[Construction]) -> Iterator[list[Construction]]:
    """The records grouped: those of one source line together, and equal lines of equal modules together."""
    lines: dict[tuple[str, Source | None, str], list[Construction]] = {}
    for record in construction:
        name = "" if record.source and len(record.source.text) < 100 and "," in record.source.text else record.name
        lines.setdefault((record.module, record.source, name), []).append(record)
    groups: dict[object, list[Construction]] = {}
    for (module, source, name), records in lines.items():
        values = tuple((record.name, record.value, record.formula) for record in records)
        groups.setdefault((re.sub(r"\d+", "*", module), source, name, values), []).extend(records)
    yield from groups.values()


def value_text(value: float | int | tuple[int, ...]) -> str:
    """A constructed value; a negative one stands for one that is not known."""
    if value == UNKNOWN:
        return "?"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


TITLE = {
    "image_size": "image {}",
    "patch_size": "patch {}",
    "dim": "dim {}",
    "depth": "depth {}",
    "heads": "heads {}",
    "mlp_dim": "mlp {}",
    "num_classes": "{} classes",
    "pool": "pool {}",
    "batch_size": "batch {}",
}


DEPTHS = {"depths", "num_layers", "num_hidden_layers", "n_layers", "num_blocks", "stages"}
"""What libraries call the number of layers."""


def title(trace: Trace) -> tuple[str, ...]:
    """The class and its hyperparameters, one phrase each."""
    values = in_our_words(trace.target.hyperparameters)
    if "dim_head" in values and "heads" in values:
        values["heads"] = f"{phrase(values['heads'])}×{phrase(values['dim_head'])}"
    known = [TITLE[name].format(phrase(values[name])) for name in TITLE if name in values]
    if not known:
        named = {name: symbol.value for name, symbol in trace.symbols.items() if symbol.hyperparameter}
        sizes = {name: value for name, value in values.items() if not isinstance(value, (bool, float))}
        known = [f"{name} {phrase(value)}" for name, value in list((named or sizes).items())[:8]]
    return (trace.target.class_, *known)


def in_our_words(hyperparameters: Mapping[str, Value]) -> dict[str, Value]:
    """The hyperparameters, those that a library calls otherwise under the title's names too."""
    from vit_trace.base.roles import ROLES

    roles = {"image_size": "image", "patch_size": "patch", "num_classes": "classes", "mlp_dim": "mlp_dim"}
    others = {ours: ROLES[roles.get(ours, ours)] for ours in (*roles, "dim", "heads", "dim_head")} | {"depth": DEPTHS}
    found = dict(hyperparameters)
    for ours, names in others.items():
        theirs = next((one for one in hyperparameters if one in names and hyperparameters[one] not in (None, "")), None)
        if ours not in found and theirs is not None:
            found[ours] = hyperparameters[theirs]
    return found


def phrase(value: Value) -> str:
    """A hyperparameter as the title shows it: sizes as 256×320, one for each of several stages as 2, 2, 6, 2."""
    if isinstance(value, list):
        return ("×" if len(value) == 2 else ", ").join(map(str, value))
    return str(value)


def totals(outline: Outline) -> tuple[str, ...]:
    """The closing phrases: stages shown, parameters, bytes, FLOPs."""
    trace = outline.trace
    all_stages = trace.totals.stages
    stages = f"{all_stages} stages"
    if outline.shown < all_stages:
        reasons = [f"{outline.folded} equal layers folded"] if outline.folded else []
        if outline.closed:
            reasons.append(f"{outline.closed} like one above closed, --no-fold opens them")
        why = f" ({', '.join(reasons)})" if reasons else ""
        stages = f"{outline.shown} of {all_stages} stages shown{why}"
    parameters = f"{trace.totals.parameters:,} parameters"
    if trace.totals.parameter_bytes:
        parameters += f", {bytes_text(trace.totals.parameter_bytes)}"
    flops = f"{compact(trace.totals.flops)}{'' if trace.totals.flops >= 1000 else ' '}FLOPs forward"
    return (stages, parameters, flops) if trace.totals.flops else (stages, parameters)
