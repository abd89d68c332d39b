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
from vit_trace.dims.formula import Formula, FormulaError, evaluate, parse, symbols_of

REACH = 4
"""Times the present value up to which, and down to which part of it, others are tried."""

EACH = 3
"""Values of one symbol, or of one pair, that are given."""

TOGETHER = (("H", "W"), ("H_model", "W_model"), ("p1", "p2"), ("h", "w"))
"""Symbols that are changed to equal values, where they are equal."""


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

    Only symbols that the conditions depend on, and that follow from no other, are changed.
    """
    used = _roots(frozenset().union(*(one.symbols for one in conditions)), symbols)
    for name in used:
        yield from islice(_at(conditions, symbols, (name,)), EACH)
    for pair in TOGETHER:
        if used.keys() >= set(pair) and symbols[pair[0]].value == symbols[pair[1]].value:
            yield from islice(_at(conditions, symbols, pair), EACH)


def _roots(names: frozenset[str], symbols: Mapping[str, Symbol]) -> dict[str, None]:
    """The symbols that can be set, from which the others follow."""
    found: dict[str, None] = {}
    waiting = sorted(names & symbols.keys())
    while waiting:
        name = waiting.pop(0)
        formula = symbols[name].formula
        if formula is None:
            found[name] = None
        else:
            waiting += sorted(symbols_of(parse(formula)) & symbols.keys())
    return found


def _at(
    conditions: Sequence[Condition], symbols: Mapping[str, Symbol], names: Sequence[str]
) -> Iterator[dict[str, int]]:
    """Values of symbols that are equal, the nearest to the present first."""
    present = symbols[names[0]].value
    for value in numbers_near(present, REACH):
        changed = dict.fromkeys(names, value)
        if all(one.holds(at_values(symbols, changed)) for one in conditions):
            yield changed


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
