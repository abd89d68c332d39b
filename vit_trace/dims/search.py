"""Searches the formula that gives some sizes: the simplest one that is right in every setting, or none.

A setting gives each symbol a value; a vector holds one size per setting. The search is small and exact: constants,
products of symbols with a coefficient and a summand, sums of two such products.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations_with_replacement
from math import prod
from typing import NamedTuple

from vit_trace.dims.formula import Formula, Name, Number, Product, Sum, evaluate, factors, product_of, scaled
from vit_trace.dims.wide import Elsewhere, Wide

Vector = tuple[int, ...]

DEGREE = 3
"""Largest number of symbols in one product."""

MOST_SEARCHED = 200
"""Different sizes that are searched beyond single products; those after them stay numbers."""

SUMMANDS = range(-4, 17)
COEFFICIENTS = range(1, 17)
LONE_COEFFICIENTS = {*COEFFICIENTS, *range(20, 65, 4)}
"""Coefficients of a product that nothing is added to: one fewer free parameter."""
PAIR_COEFFICIENTS = (1, 2, 3, 4)


class _Monomial(NamedTuple):
    """A product of symbols, with its value in each setting."""

    names: tuple[str, ...]
    values: Vector


class FormulaSearch:
    """The formulas over the symbols of the given settings; the last setting only confirms.

    A formula has to hold in the `checks` too: settings near the real one, where symbols may share values.
    """

    def __init__(
        self,
        settings: Sequence[Mapping[str, int]],
        checks: Sequence[Mapping[str, int]] = (),
        elsewhere: Elsewhere = Elsewhere(),
    ) -> None:
        self.settings = settings
        self.checks = checks
        self.elsewhere = elsewhere
        common = set(settings[0]).intersection(*settings[1:], *checks)
        values = {name: [setting[name] for setting in settings[1:]] for name in settings[0] if name in common}
        # a symbol that stays the same in two probes would pass for a coefficient
        self.names = [name for name, held in values.items() if len(set(held)) == len(held)]
        self.found: dict[Vector, Formula | None] = {}
        columns = {name: [setting[name] for setting in (*settings, *checks)] for name in self.names}
        self.monomials = [  # simplest first
            _Monomial(names, tuple(map(prod, zip(*(columns[name] for name in names), strict=True))))
            for degree in range(1, DEGREE + 1)
            for names in combinations_with_replacement(self.names, degree)
        ]
        self.searched = 0
        self.last = len(settings) - 1
        self.exact = {monomial.values[: self.last]: monomial for monomial in reversed(self.monomials)}

    @property
    def apart(self) -> list[Mapping[str, int]]:
        """Settings at which formulas differ that fit in every setting and check."""
        return self.wide.apart if "wide" in vars(self) else []

    @property
    def left(self) -> int:
        """How many sizes were left without a search, because the budget was used up."""
        return max(0, self.searched - MOST_SEARCHED)

    def formula(self, vector: Vector) -> Formula | None:
        """The simplest formula that gives `vector`, a size per setting and check; None where none is certain."""
        if vector not in self.found:
            self.found[vector] = self.search(vector)
        return self.found[vector]

    def search(self, vector: Vector) -> Formula | None:
        if len(set(vector)) == 1:
            return Number(vector[0])
        if min(vector) < 0:  # the ragged axis of a nested tensor
            return None
        if len(set(vector[1 : self.last + 1])) == 1:  # the probes agree: what varies here was not varied there
            return None
        known, last = vector[: self.last], vector[self.last]
        monomial = self.exact.get(known)
        if monomial is not None and monomial.values[self.last] != last:
            return None
        found = product_of(monomial.names) if monomial is not None else self.scaled(known, last)
        if found is not None and self.holds(found, vector):
            return found
        self.searched += 1
        if self.searched > MOST_SEARCHED:
            return None
        found = self.pair(known, last)
        if found is None or not self.holds(found, vector):
            found = self.wide.formula(vector)
        return found if found is not None and self.holds(found, vector) else self.per_image(vector)

    def per_image(self, vector: Vector) -> Formula | None:
        """b · the size for one image, where a batch is laid out as one row: b*(h*w + 1)."""
        if "b" not in self.names:
            return None
        batch = [setting["b"] for setting in (*self.settings, *self.checks)]
        if any(size % images for size, images in zip(vector, batch, strict=True)):
            return None
        each = tuple(size // images for size, images in zip(vector, batch, strict=True))
        if each in self.found or len(set(each)) == 1:
            found = self.found.get(each)
        else:
            self.found[vector] = None  # ends here where the batch divides again
            found = self.formula(each)
        return None if found is None or isinstance(found, Number) else Product((Name("b"), *factors(found)))

    def holds(self, formula: Formula, vector: Vector) -> bool:
        """Whether it gives the size in every check."""
        sizes = vector[self.last + 1 :]
        return all(evaluate(formula, setting) == size for setting, size in zip(self.checks, sizes, strict=True))

    @cached_property
    def wide(self) -> Wide:
        """The search through quotients, made when the first size needs it."""
        return Wide((*self.settings, *self.checks), self.names, self.monomials, len(self.settings), self.elsewhere)

    def scaled(self, known: Vector, last: int) -> Formula | None:
        """coefficient · product + summand."""
        best: tuple[int, int, int, _Monomial] | None = None
        for monomial in self.monomials:
            values = monomial.values
            span = values[1] - values[2]
            if span == 0 or (known[1] - known[2]) % span:
                continue
            coefficient = (known[1] - known[2]) // span
            summand = known[1] - coefficient * values[1]
            allowed = COEFFICIENTS if summand else LONE_COEFFICIENTS
            if coefficient not in allowed or summand not in SUMMANDS:
                continue
            if any(coefficient * value + summand != size for value, size in zip(values, known, strict=False)):
                continue
            cost = 2 * len(monomial.names) + (coefficient > 1) + (summand != 0)
            if best is None or cost < best[0]:
                best = (cost, coefficient, summand, monomial)
        if best is None:
            return None
        _, coefficient, summand, monomial = best
        if coefficient * monomial.values[self.last] + summand != last:
            return None
        multiple = scaled(coefficient, product_of(monomial.names))
        return Sum((multiple, Number(summand))) if summand else multiple

    def pair(self, known: Vector, last: int) -> Formula | None:
        """coefficient · product + coefficient · product, of up to two symbols each."""
        for second in self.monomials:
            if len(second.names) > 2:
                break
            for coefficient in PAIR_COEFFICIENTS:
                rest = tuple(size - coefficient * value for size, value in zip(known, second.values, strict=False))
                for factor in PAIR_COEFFICIENTS if min(rest) > 0 else ():
                    if any(size % factor for size in rest):
                        continue
                    first = self.exact.get(tuple(size // factor for size in rest))
                    if first is None or len(first.names) > 2:
                        continue
                    values = first.values[self.last], second.values[self.last]
                    if factor * values[0] + coefficient * values[1] == last:
                        terms = ((factor, first.names), (coefficient, second.names))
                        return Sum(tuple(scaled(times, product_of(names)) for times, names in terms))
        return None
