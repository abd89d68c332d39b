"""What to show of a trace: an outline of rows, folded and filtered, every number decided. No layout, no colour.

The flat stages become a tree again, equal consecutive blocks become one block with a count, and each row knows what it
stands for, so that any renderer can lay the same rows out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from vit_trace.dims.values import UNKNOWN
from vit_trace.tracing.schema import Construction, Source, Stage, TensorSpec, Trace, Value

LONGEST_PERIOD = 64
"""Stages in a row that may make one repeated block."""

MANY_IDLE = 4
"""nn.Identity modules from which folded views leave them out."""

MANY_QUANTITIES = 16
"""Quantities of constructors from which only the model's own are shown, not those of modules inside it."""

SHORT_TEXT = 28
"""Characters of source text that may stand for an operation."""

SIGNS = {
    "add": "+",
    "iadd": "+=",
    "add_": "+=",
    "radd": "+",
    "sub": "-",
    "isub": "-=",
    "sub_": "-=",
    "rsub": "-",
    "mul": "*",
    "imul": "*=",
    "mul_": "*=",
    "rmul": "*",
    "div": "/",
    "truediv": "/",
    "rtruediv": "/",
    "div_": "/=",
}
"""Arithmetic as it is written."""


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
    trace: Trace


@dataclass
class Node:
    """A stage with the stages inside it; several equal ones once they are folded."""

    stage: Stage
    children: list[Node] = field(default_factory=list)
    repeats: int = 1
    labels: list[str] = field(default_factory=list)
    block: list[Node] | None = None
    block_label: str = ""
    keep: bool = True


# -- the tree ------------------------------------------------------------------------------------------------------


def tree(trace: Trace) -> list[Node]:
    """The top nodes of the stages."""
    nodes = [Node(stage) for stage in trace.stages]
    top: list[Node] = []
    for node in nodes:
        parent = node.stage.parent
        (top if parent is None else nodes[parent].children).append(node)
    return top


def matching(nodes: list[Node], pattern: str) -> list[Node]:
    """The nodes whose name fits the glob, with all inside them, and the nodes around them."""
    kept = []
    for node in nodes:
        name = node.stage.name
        if fnmatchcase(name, pattern) or fnmatchcase(node.stage.operation, pattern):
            kept.append(node)
            continue
        node.children = matching(node.children, pattern)
        if node.children:
            kept.append(node)
    return kept


# -- folding -------------------------------------------------------------------------------------------------------


class Folder:
    """Finds equal consecutive blocks; equal subtrees get equal small numbers, so comparing them costs nothing."""

    def __init__(self) -> None:
        self.numbers: dict[object, int] = {}
        self.signatures: dict[int, int] = {}

    def signature(self, node: Node) -> int:
        """A number that two nodes share when they show the same thing but for their place in the model."""
        stage = node.stage
        if stage.index not in self.signatures:
            key = (
                general_name(stage),
                stage.kind,
                stage.operation,
                stage.pattern,
                tuple((spec.shape, spec.dims, spec.dtype) for spec in (*stage.inputs, *stage.outputs)),
                stage.parameters,
                stage.flops,
                tuple(self.signature(child) for child in node.children),
            )
            self.signatures[stage.index] = self.numbers.setdefault(key, len(self.numbers))
        return self.signatures[stage.index]

    def fold(self, nodes: list[Node]) -> list[Node]:
        """The same nodes with runs of equal blocks replaced by one."""
        ids = [self.signature(node) for node in nodes]
        folded: list[Node] = []
        place = 0
        while place < len(nodes):
            period, count = longest_run(ids, place)
            if (
                period > 1
                and count < 4
                and not any(node.stage.kind == "module" for node in nodes[place : place + period])
            ):
                period, count = 1, 1  # a few steps that look alike are no block of the model
            if count > 1 and period > 1 and nodes[place].stage.kind != "module":
                place, skipped = next_module(nodes, ids, place, period, count, folded)
                if skipped:
                    continue
            block = nodes[place : place + period]
            repeats = [nodes[place + period * turn : place + period * (turn + 1)] for turn in range(count)]
            folded.append(self.folded(block, repeats))
            place += period * count
        for node in folded:
            if node.block is None:
                node.children = self.fold(node.children)
        return folded

    def folded(self, block: list[Node], repeats: list[list[Node]]) -> Node:
        """One node for equal blocks: the node itself if it is one stage, else a heading over the block's stages."""
        count = len(repeats)
        first = block[0]
        if count == 1:
            return first
        if len(block) == 1:
            first.repeats = count
            first.labels = [blocks[0].stage.name for blocks in repeats]
            return first
        label, inner = range_label([[node.stage.name for node in blocks] for blocks in repeats])
        heading = Node(first.stage, [], count, block=[], block_label=label)
        heading.block = self.fold(block)
        heading.labels = [inner]
        return heading


def general_name(stage: Stage) -> str:
    """The stage's name without its place: no numbers, no `#2`; what a function is bound to does not matter."""
    if stage.kind in ("function", "einops"):
        return ""
    return re.sub(r"\d+", "*", stage.name.split("#")[0].rpartition(".")[2])


def longest_run(ids: Sequence[int], place: int) -> tuple[int, int]:
    """(period, count) of the repetition at `place` that covers most; (1, 1) where nothing repeats."""
    best = (1, 1)
    for period in range(1, min(LONGEST_PERIOD, (len(ids) - place) // 2) + 1):
        if ids[place] != ids[place + period]:
            continue
        count = 1
        while ids[place + period * count : place + period * (count + 1)] == ids[place : place + period]:
            count += 1
        if count > 1 and period * count > best[0] * best[1]:
            best = (period, count)
        if count > 1 and period * count >= len(ids) - place - period:
            break
    return best


def next_module(
    nodes: list[Node], ids: list[int], place: int, period: int, count: int, folded: list[Node]
) -> tuple[int, bool]:
    """Start a block at its module rather than at the step before it, where that covers as many blocks."""
    for shift in range(1, period):
        if nodes[place + shift].stage.kind == "module" and longest_run(ids, place + shift) == (period, count):
            folded.extend(nodes[place : place + shift])
            return place + shift, True
    return place, False


def range_label(names: list[list[str]]) -> tuple[str, str]:
    """("layers.0…5", "layers.0"): how a block of stages is called over all its repetitions, and in the first one."""
    modules = [[name for name in block if "#" not in name and re.search(r"\d", name)] or block for block in names]
    first, last = common_parts(modules[0]), common_parts(modules[-1])
    for place, (start, end) in enumerate(zip(first, last, strict=False)):
        if start != end:
            if start.isdigit() and end.isdigit():
                return ".".join((*first[:place], f"{start}…{end}")), ".".join(first[: place + 1])
            break
    return f"{names[0][0]} … {names[-1][-1]}", ".".join(first)


def common_parts(names: list[str]) -> list[str]:
    """The dotted beginning that all names share."""
    parts = [name.split(".") for name in names]
    common = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return common


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
    shown = sum(1 for row in rows if row.stage is not None)
    folded = max((row.repeats for row in rows if row.repeats > 1 and row.heading), default=0)
    construction = construction_rows(trace) if stage is None else ()
    return Outline(title(trace), construction, rows, shown, folded, trace)


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
    children = [] if fold and says_nothing_new(node) else node.children
    heading = bool(children) and not hidden
    parameters, flops = (stage.parameters, stage.flops) if heading and node.repeats == 1 else inclusive(node)
    yield Row(
        level,
        node_label(node, prefix),
        operation(stage),
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
    return inner.kind == "function" and inner.outputs == node.stage.outputs


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


def shape_text(shape: tuple[int, ...]) -> str:
    """5×65×1024; a tensor without axes is a scalar."""
    return "×".join(map(str, shape)) if shape else "scalar"


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
        span_label(first.module, last.module),
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


def span_label(first: str, last: str) -> str:
    """layers.0.fn and layers.5.fn as layers.0…5.fn."""
    start, end = first.split("."), last.split(".")
    if len(start) != len(end):
        return first
    return ".".join(one if one == two else f"{one}…{two}" for one, two in zip(start, end, strict=True))


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
    from vit_trace.targets.knobs import ROLES

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


def compact(number: int) -> str:
    """3146752 as 3.15 M, to three digits; exact below a thousand."""
    for limit, unit in ((10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "K")):
        if number >= limit * 0.9995:
            scaled = number / limit
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {unit}"
    return str(number)


def bytes_text(count: int) -> str:
    """Bytes in binary units: 204.5 MiB."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def totals(outline: Outline) -> tuple[str, ...]:
    """The closing phrases: stages shown, parameters, bytes, FLOPs."""
    trace = outline.trace
    all_stages = trace.totals.stages
    stages = f"{all_stages} stages"
    if outline.shown < all_stages:
        why = f" ({outline.folded} equal layers folded)" if outline.folded else ""
        stages = f"{outline.shown} of {all_stages} stages shown{why}"
    parameters = f"{trace.totals.parameters:,} parameters"
    if trace.totals.parameter_bytes:
        parameters += f", {bytes_text(trace.totals.parameter_bytes)}"
    flops = f"{compact(trace.totals.flops)}{'' if trace.totals.flops >= 1000 else ' '}FLOPs forward"
    return (stages, parameters, flops) if trace.totals.flops else (stages, parameters)
