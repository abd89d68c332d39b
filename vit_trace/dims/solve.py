"""Finds values of symbols at which sizes agree that do not agree now: equal, a divisor, a square. No torch.

A size is a formula over symbols (`16*h`) or a number. One symbol is changed at a time, to the nearest values first,
then pairs that belong together, such as height and width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from math import isqrt

from vit_trace.base.numbers import numbers_near
from vit_trace.base.trace import Symbol
from vit_trace.dims.formula import Formula, FormulaError, Quotient, evaluate, parse, symbols_of, walk
from vit_trace.dims.symbols import ENDING

REACH = 4
"""Times the present value up to which, and down to which part of it, others are tried."""

EACH = 3
"""Values of one symbol, or of one pair, that are given."""

TOGETHER = (("H", "W"), ("H_model", "W_model"), ("p1", "p2"), ("h", "w"))
"""Symbols that are changed to equal values together."""


class Wanted(Enum):
    """What the second of two sizes has to be, seen from the first."""

    EQUAL = "equal"
    MULTIPLE = "multiple"
    SQUARE = "square"
    """The first alone is meant."""


@dataclass(frozen=True)
class Condition:
    """Two sizes that have to agree."""

    first: Formula
    second: Formula
    wanted: Wanted = Wanted.EQUAL

    @staticmethod
    def of(first: str | int, second: str | int, wanted: Wanted = Wanted.EQUAL) -> Condition:
        return Condition(parse(str(first)), parse(str(second)), wanted)

    @property
    def symbols(self) -> frozenset[str]:
        return symbols_of(self.first) | symbols_of(self.second)

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether the sizes agree at these values, and are sizes."""
        try:
            first, second = evaluate(self.first, values), evaluate(self.second, values)
        except FormulaError:
            return False
        if first < 1 or second < 1:
            return False
        if self.wanted is Wanted.EQUAL:
            return first == second
        return second % first == 0 if self.wanted is Wanted.MULTIPLE else isqrt(first) ** 2 == first


def solutions(conditions: Sequence[Condition], symbols: Mapping[str, Symbol]) -> Iterator[dict[str, int]]:
    """New values of symbols at which all conditions hold: of one alone, then of pairs that belong together.

    Only symbols that the conditions depend on, and that follow from no other, are changed. Of several conditions each
    is solved alone where it does not hold.
    """
    if len(conditions) > 1:
        values = at_values(symbols, {})
        each = (list(solutions([one], symbols)) for one in conditions if not one.holds(values))
        yield from (
            {name: value for part in parts for name, value in part.items()} for parts in zip(*each, strict=False)
        )
        return
    behind = symbols_behind(frozenset().union(*(one.symbols for one in conditions)), symbols)
    used = [name for name, symbol in behind.items() if symbol.formula is None]
    for name in used:
        yield from islice(_at(conditions, behind, (name,)), EACH)
    for pair in TOGETHER:
        both = {name: symbols[name] for name in pair if name in symbols}
        if set(used) & set(pair) and len(both) == 2:
            yield from islice(_at(conditions, behind | both, pair), EACH)


def symbols_behind(names: frozenset[str], symbols: Mapping[str, Symbol]) -> dict[str, Symbol]:
    """The symbols with those that they follow from."""
    found: dict[str, Symbol] = {}
    waiting = sorted(names & symbols.keys())
    while waiting:
        name = waiting.pop(0)
        found[name] = symbols[name]
        waiting += sorted(symbols_of(parse(symbols[name].formula or "1")) & symbols.keys() - found.keys())
    return found


def _at(
    conditions: Sequence[Condition], symbols: Mapping[str, Symbol], names: Sequence[str]
) -> Iterator[dict[str, int]]:
    """Values of symbols that are equal, the nearest to the present first; those that divide with a remainder last."""
    present, rounded = symbols[names[0]].value, []
    other = symbols.get(_counterpart(names[0]))
    sides = sorted({symbols[name].value for name in names}, reverse=True)
    first = [*([other.value] if other is not None else []), *(sides if len(sides) > 1 else [])]
    for value in dict.fromkeys([*first, *numbers_near(present, REACH)]):
        changed = dict.fromkeys(names, value)
        values = at_values(symbols, changed)
        if all(one.holds(values) for one in conditions):
            if (value in first and value != present) or _whole(conditions, symbols, values):
                yield changed
            else:
                rounded.append(changed)
    yield from rounded


def _whole(conditions: Sequence[Condition], symbols: Mapping[str, Symbol], values: Mapping[str, int]) -> bool:
    """Whether no quotient has a remainder."""
    formulas = [part for one in conditions for part in (one.first, one.second)]
    formulas += [parse(symbol.formula) for symbol in symbols.values() if symbol.formula]
    quotients = (part for formula in formulas for part in walk(formula) if isinstance(part, Quotient))
    return all(_is_whole(one, values) for one in quotients)


def _is_whole(quotient: Quotient, values: Mapping[str, int]) -> bool:
    """Whether a quotient has no remainder: of one that rounds up, (H - 1)//16 + 1 or (H + 15)//16, what is in it."""
    top, bottom = evaluate(quotient.top, values), evaluate(quotient.bottom, values)
    try:
        added = evaluate(quotient.top, dict.fromkeys(values, 0))
    except FormulaError:
        added = 0
    rounds_up = added < 0 or added == bottom - 1
    return (top - added * rounds_up) % bottom == 0


def _counterpart(name: str) -> str:
    """The same size of the input for one of the model, and the other way round: T_model for T."""
    return name.removesuffix(ENDING) if name.endswith(ENDING) else name + ENDING


def at_values(symbols: Mapping[str, Symbol], changed: Mapping[str, int]) -> dict[str, int]:
    """The value of every symbol once some have changed."""
    values = {name: changed.get(name, symbol.value) for name, symbol in symbols.items()}
    waiting = {name: parse(symbol.formula) for name, symbol in symbols.items() if symbol.formula is not None}
    known = values.keys() - waiting.keys()
    while ready := [name for name, formula in waiting.items() if symbols_of(formula) <= known]:
        for name in ready:
            values[name] = evaluate(waiting.pop(name), values)
        known = values.keys() - waiting.keys()
    return values
