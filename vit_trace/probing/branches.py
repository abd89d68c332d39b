"""Finds at which values of symbols a model has other stages, and where a division that leaves a rest stops it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from msgspec.structs import replace as altered

from vit_trace.base.trace import LAYERS, Symbol, Trace, Whole
from vit_trace.dims.formula import Name, Product, Quotient, evaluate, parse, walk
from vit_trace.dims.values import UNKNOWN, at, used_in
from vit_trace.dims.walk import stage_keys
from vit_trace.probing.screening import Spent, shapes
from vit_trace.view.fold import StageNode, layer_nodes
from vit_trace.view.outline import nodes_of

Condition = dict[str, str]
"""Symbols with the formulas whose values they have: {"heads": "1", "dim_head": "dim"}."""

MOST_PAIRS = 3
"""Pairs of equal widths that are tried."""


class Seen(NamedTuple):
    """A setting that ran: the symbols that had another value than in the real trace, and whether the stages stayed."""

    values: Mapping[str, int]
    same: bool


def same_stages(one: Trace, other: Trace) -> bool:
    """Whether two traces have the same stages, layers of the same kinds and the same parameters."""
    return _structure(one) == _structure(other)


def _structure(trace: Trace) -> set[object]:
    keys = zip(stage_keys(trace.stages), trace.stages, strict=True)
    kinds = {(key, stage.operation if stage.kind == "module" else "") for key, stage in keys}
    return {*kinds, *(parameter.name for parameter in trace.parameters)}


def branches(trace: Trace, symbols: Mapping[str, Symbol], attempt: "Attempt") -> tuple[Condition, ...]:
    """The smallest conditions under which the trace at these values has other stages."""
    found: list[Condition] = []
    values = {name: symbol.value for name, symbol in symbols.items()}
    waiting = _together([one for one in _conditions(symbols) if not _holds(one, values)])
    while waiting:
        group = waiting.pop(0)
        condition = {name: text for one in group for name, text in one.items()}
        try:
            there = attempt(_values_at(condition, values))
            ran = there is not None and there.failure is None
            if there is not None and ran and same_stages(trace, there):
                continue
            if len(group) > 1:
                waiting = [[one] for one in group] + waiting
            elif ran:
                parts = [one for one in _parts(condition) if _differs(trace, one, values, attempt)]
                found += [one for one in parts or [condition] if one not in found]
        except Spent:
            break
    return tuple(found)


def _together(conditions: Sequence[Condition]) -> list[list[Condition]]:
    """The conditions in groups, each to be tried in one trace: no two of a group say something of one symbol."""
    groups: list[list[Condition]] = []
    for condition in conditions:
        free = (group for group in groups if not any(_symbols(one) & _symbols(condition) for one in group))
        if (group := next(free, None)) is not None:
            group.append(condition)
        else:
            groups.append([condition])
    return groups


def _symbols(condition: Condition) -> set[str]:
    return {*condition, *(text for text in condition.values() if not text.isdigit())}


def _values_at(condition: Condition, values: Mapping[str, int]) -> dict[str, int]:
    return {name: evaluate(parse(text), values) for name, text in condition.items()}


def _holds(condition: Condition, values: Mapping[str, int]) -> bool:
    return all(values[name] == value for name, value in _values_at(condition, values).items())


def _differs(
    trace: Trace,
    condition: Condition,
    values: Mapping[str, int],
    attempt: "Attempt",
) -> bool:
    """Whether the trace at this condition runs and has other stages; it is not tried where it holds already."""
    there = None if _holds(condition, values) else attempt(_values_at(condition, values))
    return there is not None and there.failure is None and not same_stages(trace, there)


def _parts(condition: Condition) -> list[Condition]:
    return [{name: text} for name, text in condition.items()] if len(condition) > 1 else []


def _conditions(symbols: Mapping[str, Symbol]) -> Iterator[Condition]:
    """What constructors ask for: one head as wide as the tokens, one of something, two equal widths."""
    free = [name for name, symbol in symbols.items() if symbol.formula is None]
    for heads in (name for name in free if "heads" in name):
        inner = [name for name in free if "dim_head" in name or "head_dim" in name]
        yield {heads: "1"} | ({inner[0]: "dim"} if inner and "dim" in free else {})
    yield from ({name: "1"} for name in free if name in ("c", "classes"))
    widths = [name for name in free if "dim" in name and "head" not in name]
    yield from ({other: one} for one, other in list(combinations(widths, 2))[:MOST_PAIRS])


def with_kept(symbols: Mapping[str, Symbol], seen: Sequence[Seen]) -> dict[str, Symbol]:
    """The symbols, those that decide the structure with the values between which the stages were seen to stay."""
    return {name: altered(symbol, kept=_kept(name, symbol.value, seen)) for name, symbol in symbols.items()}


def _kept(name: str, here: int, seen: Sequence[Seen]) -> tuple[int, int] | None:
    mine = [one for one in seen if one.values.keys() in ({name}, {"H", "W"}) and name in one.values]
    others = [one.values[name] for one in mine if not one.same]
    if not others:
        return None
    low = max((value for value in others if value <= here), default=0)
    high = min((value for value in others if value >= here), default=0)
    known = [here, *(one.values[name] for one in mine if one.same)]
    known = [value for value in known if low < value or value == here]
    known = [value for value in known if not high or value < high or value == here]
    return min(known), max(known)


STEPS = (8, 4, 2, 1)
"""What is added to a size for a division that leaves a rest, the likeliest to run first."""

Attempt = Callable[[Mapping[str, int]], Trace | None]


def wholes(trace: Trace, attempt: Attempt) -> Iterator[Whole]:
    """The divisions of other sizes than the image's by a symbol, unless formulas are right where they leave a rest."""
    values = {name: symbol.value for name, symbol in trace.symbols.items()}
    found: dict[str, Trace | None] = {}
    for top, bottom in divisions(trace):
        free = sorted(name for name in used_in(trace, {top}) if trace.symbols[name].formula is None)
        if {"H", "W"} & {*free}:
            continue
        rests = ({name: values[name] + step} for name in free for step in STEPS)
        rest = next((one for one in rests if evaluate(parse(top), values | one) % values[bottom]), {})
        try:
            if rest and str(rest) not in found:
                found[str(rest)] = attempt(rest)
        except Spent:
            rest = {}
        there = found.get(str(rest))
        if not rest or there is None or there.failure is not None:
            yield Whole(top, bottom, "refused" if rest else "unknown")
        elif not _foretold(trace, rest, there):
            yield Whole(top, bottom, "unknown")


def _foretold(trace: Trace, values: Mapping[str, int], there: Trace) -> bool:
    """Whether the formulas give what a trace has at other values."""
    said, real = shapes(at(trace, values)), shapes(there)
    pairs = [pair for key, held in said.items() for pair in zip(held, real.get(key, ()), strict=False)]
    return said.keys() == real.keys() and all(
        len(one) == len(other) and all(size in (UNKNOWN, made) for size, made in zip(one, other, strict=True))
        for one, other in pairs
    )


def divisions(trace: Trace) -> list[tuple[str, str]]:
    """What is divided by a symbol anywhere: of a symbol's value, and of a width in any size."""
    texts = {symbol.formula for symbol in trace.symbols.values() if symbol.formula}
    texts |= {dim for one in trace.stages for spec in one.outputs for dim in spec.dims}
    parts = (part for text in sorted(texts) if "//" in text for part in walk(parse(text)))
    found = (part for part in parts if isinstance(part, Quotient) and isinstance(part.bottom, Name))
    return list(dict.fromkeys((str(one.top), str(one.bottom)) for one in found if isinstance(one.top, Name | Product)))


MOST_LAYERS = 10_000
"""Layers up to which a trace says what more of them would make."""


def with_layers(trace: Trace, real: Trace, name: str, depth: int, attempt: Callable[[int], Trace | None]) -> Trace:
    """The trace with a symbol for its number of layers, if a `real` one with more or fewer only repeats them so often.

    Args:
        name: the hyperparameter.
        attempt: the trace with so many layers. Raises Spent.
    """
    nodes = nodes_of(real)
    try:
        more, *fewer = dict.fromkeys((depth + 1, max(2, depth // 4), max(2, depth // 2), depth))
        if not layer_nodes(nodes, depth) or not _repeats(nodes, depth, attempt(more), more):
            return trace
        low = next(one for one in fewer if one == depth or _repeats(nodes, depth, attempt(one), one))
    except Spent:
        return trace
    symbol = Symbol(depth, LAYERS, hyperparameter=name, kept=(low, MOST_LAYERS))
    return altered(trace, symbols={**trace.symbols, "depth" if "depth" not in trace.symbols else name: symbol})


def _repeats(nodes: Sequence[StageNode], depth: int, there: Trace | None, layers: int) -> bool:
    """Whether a trace has the same stages as some nodes, with another number of repetitions of the layers."""
    others = nodes_of(there) if there is not None and there.failure is None else []
    return len(nodes) == len(others) and all(
        _same_but_layers(*pair, depth, layers) for pair in zip(nodes, others, strict=True)
    )


def _same_but_layers(one: StageNode, other: StageNode, depth: int, layers: int) -> bool:
    repeated = bool(layer_nodes([one], depth)) and one.repeats == depth
    if other.repeats != (layers if repeated else one.repeats) or _does(one) != _does(other):
        return False
    within = 0 if repeated else depth  # the layers of a layer are its own
    pairs = zip(one.inside, other.inside, strict=False)
    return len(one.inside) == len(other.inside) and all(_same_but_layers(*pair, within, layers) for pair in pairs)


def _does(node: StageNode) -> tuple[object, ...]:
    stage = node.stage
    shapes = [spec.shape for spec in (*stage.inputs, *stage.outputs)]
    return stage.kind, stage.operation, stage.pattern, stage.parameters, stage.flops, shapes, node.block is None
