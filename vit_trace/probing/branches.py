"""Finds which symbols decide the structure of a model: where some have a value, it has other stages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from msgspec.structs import replace

from vit_trace.base.trace import Symbol, Trace
from vit_trace.dims.formula import evaluate, parse
from vit_trace.dims.walk import stage_keys
from vit_trace.probing.screening import Spent

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


def branches(
    trace: Trace, symbols: Mapping[str, Symbol], attempt: Callable[[Mapping[str, int]], Trace | None]
) -> tuple[Condition, ...]:
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
    attempt: Callable[[Mapping[str, int]], Trace | None],
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
    return {name: replace(symbol, kept=_kept(name, symbol.value, seen)) for name, symbol in symbols.items()}


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
