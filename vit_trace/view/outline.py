"""Decides what to show of a trace: an outline of rows, folded and filtered, with every number. No layout, no colour."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import NamedTuple

from vit_trace.base.roles import same_role
from vit_trace.base.trace import Construction, Parameter, Source, Stage, TensorSpec, Trace, Value
from vit_trace.base.words import SIGNS, bytes_text, compact, name_range, shape_text
from vit_trace.dims.values import UNKNOWN
from vit_trace.view.fold import Folder, StageNode, collapse_similar, matching, range_label, tree

LONG = 120
"""Rows above which similar blocks are collapsed."""

MANY_IDLE = 4
"""Folded views hide nn.Identity from this many modules on."""

MANY_QUANTITIES = 16
"""Above this many quantities of constructors, only the root module's are shown."""

SHORT_TEXT = 28
"""Longest source text, in characters, that is shown as the operation."""


@dataclass(frozen=True)
class Row:
    """One line of a view.

    `repeats` is how many equal blocks the row stands for; `parameters` and `flops` are its own, or those of everything
    hidden below it.
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
    mixes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outline:
    """The rows of a view, and what its title and closing line need."""

    construction: tuple[Row, ...]
    rows: tuple[Row, ...]
    collapsed: int
    trace: Trace


def outline(trace: Trace, stage: str | None = None, levels: int | None = None, fold: bool = True) -> Outline:
    """The rows of a trace, `levels` deep; with `fold`, equal consecutive blocks once. A row counts what it hides."""
    nodes = tree(trace)
    if stage is not None:
        nodes = matching(nodes, stage) or matching(tree(trace), f"*.{stage}")
    inside = (node.children if node.stage.kind == "module" and not node.stage.module else [node] for node in nodes)
    nodes = list(chain.from_iterable(inside))
    if fold:
        if stage is None and len(idle := _idle_stages(trace)) >= MANY_IDLE:
            nodes = _without(nodes, idle)
        nodes = Folder().fold(nodes)
        nodes = [_unwrapped(node) for node in nodes] if levels is None else nodes
    failed = trace.failure.stage if trace.failure else None
    maker = _RowMaker(levels, fold, failed)
    rows = tuple(maker.rows(nodes))
    collapsed = 0
    if fold and len(rows) > LONG and (stage, levels, failed) == (None, None, None):
        collapsed = collapse_similar(nodes)
        rows = tuple(maker.rows(nodes))
    construction = _construction_rows(trace) if stage is None else ()
    return Outline(construction, rows, collapsed, trace)


def _idle_stages(trace: Trace) -> set[int]:
    """Indexes of nn.Identity modules, which many models keep in place of what their variants have."""
    alone = {stage.index for stage in trace.stages if stage.outputs} - {stage.parent for stage in trace.stages}
    return {i for i in alone if (trace.stages[i].kind, trace.stages[i].operation) == ("module", "Identity")}


def _without(nodes: list[StageNode], idle: set[int]) -> list[StageNode]:
    kept = [node for node in nodes if node.stage.index not in idle]
    for node in kept:
        node.children = _without(node.children, idle)
    return kept


def _unwrapped(node: StageNode) -> StageNode:
    """The node; what is inside a module that only holds one other: `blocks.0…11` needs no heading `blocks`."""
    node.inside[:] = [_unwrapped(inner) for inner in node.inside]
    stage = node.stage
    own = stage.parameters or stage.flops or not stage.outputs
    if node.block is not None or stage.kind != "module" or node.repeats > 1 or own or len(node.children) != 1:
        return node
    inner = node.children[0]
    below = inner.block is not None or (inner.stage.kind == "module" and inner.children)
    return inner if below else node


class _RowMaker(NamedTuple):
    """Makes the rows of nodes, `levels` deep; hides what says nothing new if `fold`; `failed` is the failing stage."""

    levels: int | None
    fold: bool
    failed: int | None

    def rows(self, nodes: Sequence[StageNode], level: int = 0, prefix: str = "") -> Iterator[Row]:
        """The rows of nodes and of what is inside them; names are relative to the module `prefix`."""
        for node in nodes:
            hides_below = self.levels is not None and level + 1 >= self.levels
            if node.block is not None:
                parameters, flops = _inclusive(node)
                label = _relative(node.block_label, prefix)
                yield Row(level, label, repeats=node.repeats, parameters=parameters, flops=flops, heading=True)
                if not hides_below:
                    yield from self.rows(node.block, level + 1, node.labels[0])
                continue
            children = [] if node.like or (self.fold and _says_nothing_new(node)) else node.children
            heading = bool(children) and not hides_below
            yield self.stage_row(node, level, prefix, heading)
            if heading:
                yield from self.rows(children, level + 1, node.stage.module or prefix)

    def stage_row(self, node: StageNode, level: int, prefix: str, heading: bool) -> Row:
        """The row of a stage, with the numbers of what it hides."""
        stage = node.stage
        failed = stage.index == self.failed
        parameters, flops = (stage.parameters, stage.flops) if heading and node.repeats == 1 else _inclusive(node)
        return Row(
            level,
            _node_label(node, prefix),
            f"{operation(stage)}, as {node.like}" if node.like else operation(stage),
            shapes=stage.inputs if failed else stage.outputs,
            before=stage.inputs,
            repeats=node.repeats,
            parameters=parameters,
            flops=flops,
            source=stage.source,
            heading=heading,
            failed=failed,
            stage=stage.index,
            mixes=node.stage.mixes or (),
        )


def _inclusive(node: StageNode) -> tuple[int, int]:
    """(parameters, FLOPs) of a node and everything inside it, times its repetitions; UNKNOWN where a part is."""
    sums = [_inclusive(child) for child in node.inside]
    if node.block is None:
        sums.append((node.stage.parameters, node.stage.flops))
    unknown = any(one == UNKNOWN for one, _ in sums)
    parameters = UNKNOWN if unknown else node.repeats * sum(one for one, _ in sums)
    return parameters, node.repeats * sum(two for _, two in sums)


def _says_nothing_new(node: StageNode) -> bool:
    """Whether a module holds just one function with the module's own output: F.layer_norm in a LayerNorm."""
    if len(node.children) != 1 or node.children[0].children:
        return False
    inner = node.children[0].stage
    return inner.kind == "function" and bool(inner.outputs) and inner.outputs == node.stage.outputs


def _node_label(node: StageNode, prefix: str) -> str:
    """The name to show, relative to the heading above; for a folded run, all names."""
    if node.stage.kind in ("function", "einops"):
        prefix = node.stage.module
    names = [_relative(name, prefix) for name in (node.labels or [node.stage.name])]
    if len(names) > 1 and node.stage.kind == "module":
        return range_label([[name] for name in names])[0]
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}…"


def _relative(name: str, prefix: str) -> str:
    """`name` without the module path that the heading above shows already and without `#2`."""
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


def _construction_rows(trace: Trace) -> tuple[Row, ...]:
    """What the constructor computed, then the parameters of the root module itself."""
    groups = _distinct(trace.construction)
    shown = [records for records in groups if not records[0].module] if len(groups) > MANY_QUANTITIES else groups
    rows = [_construction_row(records) for records in shown]
    if len(shown) < len(groups):
        rows.append(Row(0, f"… {len(groups) - len(shown)} more", "in inner modules"))
    for parameter in trace.parameters:
        if "." not in parameter.name:
            tensor = TensorSpec("", parameter.shape, parameter.dims, parameter.dtype)
            rows.append(Row(0, parameter.name, "parameter", (tensor,), parameters=_values_of(parameter)))
    return tuple(rows)


def _values_of(parameter: Parameter) -> int:
    return UNKNOWN if UNKNOWN in parameter.shape else prod(parameter.shape)


def _construction_row(records: list[Construction]) -> Row:
    """The quantities that one line of source bound, in one or more equal modules."""
    first, last = records[0], records[-1]
    bound = [record for record in records if record.module == first.module]
    return Row(
        0,
        ", ".join(record.name for record in bound),
        name_range(first.module, last.module),
        value=", ".join(_value_text(record.value) for record in bound),
        formula=", ".join(record.formula for record in bound if record.formula and not record.formula.isdigit()),
        source=first.source,
    )


def _distinct(construction: Sequence[Construction]) -> list[list[Construction]]:
    """The records in groups: those of one source line, and of equal lines in equal modules, together."""
    lines: dict[tuple[str, Source | None, str], list[Construction]] = {}
    for record in construction:
        name = "" if record.source and len(record.source.text) < 100 and "," in record.source.text else record.name
        lines.setdefault((record.module, record.source, name), []).append(record)
    groups: dict[object, list[Construction]] = {}
    for (module, source, name), records in lines.items():
        values = tuple((record.name, record.value, record.formula) for record in records)
        groups.setdefault((re.sub(r"\d+", "*", module), source, name, values), []).extend(records)
    return list(groups.values())


def _value_text(value: float | int | tuple[int, ...]) -> str:
    """A constructed value; ? for an unknown one."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "?" if value == UNKNOWN else f"{value:.6g}" if isinstance(value, float) else str(value)


TITLE = dict(image_size="image {}", patch_size="patch {}", dim="dim {}", depth="depth {}", heads="heads {}")
TITLE |= dict(mlp_dim="mlp {}", num_classes="{} classes", pool="pool {}", batch_size="batch {}")
"""Hyperparameter -> its phrase in the title, in this order."""


def title(trace: Trace) -> tuple[str, ...]:
    """The class and its hyperparameters, one phrase each."""
    values = _in_our_words(trace.target.hyperparameters)
    if "dim_head" in values and "heads" in values:
        values["heads"] = f"{_phrase(values['heads'])}×{_phrase(values['dim_head'])}"
    known = [TITLE[name].format(_phrase(values[name])) for name in TITLE if name in values]
    if not known:
        named = {name: symbol.value for name, symbol in trace.symbols.items() if symbol.hyperparameter}
        sizes = {name: value for name, value in values.items() if not isinstance(value, (bool, float))}
        known = [f"{name} {_phrase(value)}" for name, value in list((named or sizes).items())[:8]]
    return (trace.target.class_, *known)


def _in_our_words(hyperparameters: Mapping[str, Value]) -> dict[str, Value]:
    """The hyperparameters, those that a library calls otherwise under the title's names too."""
    given = {name: value for name, value in hyperparameters.items() if value not in (None, "")}
    found = dict(hyperparameters)
    for ours in "image_size patch_size num_classes mlp_dim dim heads dim_head depth".split():
        if ours not in found and (theirs := same_role(ours, given)):
            found[ours] = given[theirs[0]]
    return found


def _phrase(value: Value) -> str:
    """A hyperparameter as the title shows it: two sizes as 256×320, one per stage as 2, 2, 6, 2."""
    return ("×" if len(value) == 2 else ", ").join(map(str, value)) if isinstance(value, list) else str(value)


BOUNDS = dict(exact="{} parameters", least="at least {} parameters (some sizes are unknown)")
BOUNDS |= dict(unknown="parameters unknown: the stages change")
"""How the total of parameters is said, by what it is."""

PLACES = {"tokens", "h", "w", "frames"}
FEATURES = {"features", "channels", "heads", "pixels"}
IMAGES = {"batch"}
"""What a step may mix: words of `Stage.mixes`."""


def totals(outline: Outline) -> tuple[str, ...]:
    """The closing phrases: stages shown, parameters, bytes, FLOPs."""
    trace = outline.trace
    stages = f"{trace.totals.stages} stages"
    shown = sum(row.stage is not None for row in outline.rows)
    if shown < trace.totals.stages:
        folded = max((row.repeats for row in outline.rows if row.repeats > 1 and row.heading), default=0)
        reasons = [f"{folded} equal layers folded"] if folded else []
        if outline.collapsed:
            blocks = f"{outline.collapsed} similar block{'s' * (outline.collapsed > 1)} collapsed"
            reasons.append(f"{blocks}, --no-fold shows all")
        why = f" ({', '.join(reasons)})" if reasons else ""
        stages = f"{shown} of {stages} shown{why}"
    parameters = BOUNDS[trace.totals.bound].format(f"{trace.totals.parameters:,}")
    if trace.totals.parameter_bytes:
        parameters += f", {bytes_text(trace.totals.parameter_bytes)}"
    flops = f"{compact(trace.totals.flops)}{'' if trace.totals.flops >= 1000 else ' '}FLOPs forward"
    return (stages, parameters, flops) if trace.totals.flops else (stages, parameters)


def mixing_told(trace: Trace) -> str:
    """How many steps mix tokens, how many features, and whether one mixes images; "" where that is not known.

    What a mixed axis without a formula counts is not known: a count is a lower bound then, and 0 is left out.
    """
    inner = {stage.parent for stage in trace.stages}
    steps = [set(stage.mixes) for stage in trace.stages if stage.mixes is not None and stage.index not in inner]
    bound = "at least " if any(one - PLACES - FEATURES - IMAGES for one in steps) else ""
    counts = {
        name: sum(bool(words & one) for one in steps)
        for name, words in (("tokens", PLACES), ("features", FEATURES), ("images", IMAGES))
        if steps and (not bound or any(words & one for one in steps) or (words == IMAGES and "b" in trace.symbols))
    }
    said = [
        f"{f'{bound}{count}' if count else 'none'} {'mix' if count > 1 else 'mixes'} {name}"
        for name, count in counts.items()
    ]
    of = next((f" step{'s' * (count > 1)}" if count else " of the steps" for count in counts.values()), "")
    return ", ".join(said).replace(" mix", f"{of} mix", 1)
