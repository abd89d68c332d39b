"""Searches formulas that the simple search does not reach: strides that round down or up, windows, shares of a width.

`H//4`, `(H + 31)//32`, `b*(H//28)*(W//28)`, `8*dim//3`, `(2*window - 1)*(2*window - 1)`. Built only when needed.
The more formulas there are to choose from, the more information a vector needs before one of them is accepted. Their
order counts: of several that give the same sizes the first is taken. `_candidates` offers a new form of formula.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm, log2
from types import MappingProxyType
from typing import NamedTuple

from vit_trace.dims.formula import (
    Formula,
    FormulaError,
    Least,
    Name,
    Number,
    Product,
    Quotient,
    Sum,
    evaluate,
    factors,
    parse,
    product_of,
    scaled,
    terms,
)

Vector = tuple[int, ...]

COEFFICIENTS = (1, 2, 3, 4, 6, 8, 9, 16)
SUMMANDS = (0, 1, 2, 3, -1, 4, 5)
SIDES = (("H", "p1"), ("W", "p2"), ("T", "pt"), ("L", "p"))
"""Symbols of the input's sides, each with that of its patch."""

STRIDES = (2, 4, 8, 16, 32, 64)
WINDOWS = (7, 8, 12, 14, 16)
"""Sides of windows that are tried where no symbol is one."""
REFUSALS = 3
"""Settings at which two formulas differ and the model does not run, from which on it may be either of them."""

MARGIN = 8
"""Bits of information that a vector needs beyond those that choose the formula."""


class _Ambiguous(Exception):
    """Several formulas give the same sizes in every setting and differ elsewhere."""


class Elsewhere(NamedTuple):
    """What is known of settings that were not traced: the formulas of symbols that follow from others, settings at
    which the model does not run, the fractions that the model was made with, and the symbols of windows.
    """

    derived: Mapping[str, str] = MappingProxyType({})
    refused: Sequence[Mapping[str, int]] = ()
    fractions: Sequence[Fraction] = ()
    tiles: Sequence[str] = ()


class Wide:
    """Quotients over the symbols of some settings, by the sizes they give; the last setting only confirms."""

    def __init__(
        self,
        settings: Sequence[Mapping[str, int]],
        names: Sequence[str],
        products: Sequence[tuple[tuple[str, ...], Vector]],
        independent: int,
        more: "Elsewhere",
    ) -> None:
        self.independent = independent
        self.refused = more.refused
        self.apart: list[Mapping[str, int]] = []  # settings at which formulas differ that fit here
        self.known: dict[Formula, Vector] = {}
        self.settings = settings
        self.names = names
        self.products = [(names, values) for names, values in products if not {"H", "W"} & set(names)]
        self.elsewhere = list(_elsewhere(settings, more))
        self.agreed: dict[tuple[Formula, Formula], Mapping[str, int] | None] = {}
        self.atoms: dict[Vector, list[tuple[Formula, int]]] = {}
        self.ranks: dict[Vector, int] = {}
        made = [parse(text) for name, text in more.derived.items() if name in settings[0]]
        ends = (one.bottom for one in made if isinstance(one, Quotient))
        numbers = [end.value for end in ends if isinstance(end, Number) and end.value not in STRIDES]
        tiles = [name for name in more.tiles if name in names]
        for formula in _candidates(names, [*dict.fromkeys(numbers)], more.fractions, tiles):
            self.add(formula)

    def add(self, formula: Formula) -> None:
        """Files a formula under the sizes it gives."""
        values = self.sizes(formula)
        if min(values) > 0 and len(set(values[1:])) > 1:
            self.ranks.setdefault(values[:-1], len(self.ranks) + 2)
            self.atoms.setdefault(values[:-1], []).append((formula, values[-1]))

    def sizes(self, formula: Formula) -> Vector:
        """What a formula gives in each setting, from what its parts give there; 0 where it divides by 0."""
        if formula not in self.known:
            inner = [self.sizes(part) for part in formula.inner()]
            if inner:
                self.known[formula] = tuple(_combine(formula, sizes) for sizes in zip(*inner, strict=True))
            else:
                self.known[formula] = tuple(evaluate(formula, setting) for setting in self.settings)
        return self.known[formula]

    def formula(self, vector: Vector) -> Formula | None:
        """The simplest of these formulas that gives `vector`; None where none is certain."""
        if min(vector) <= 0:
            return None
        known, last = vector[:-1], vector[-1]
        said = sum(map(log2, (*vector[: self.independent], *{*vector[self.independent :]} - {vector[0]})))
        ways = (self.shifted, self.multiple, self.counted, self.sum)
        try:
            return next((found for way in ways if (found := way(known, last, said)) is not None), None)
        except _Ambiguous:
            return None

    def found(self, known: Vector) -> tuple[Formula, int] | None:
        """The first of the formulas that give these sizes. Raises Ambiguous where they differ at another setting."""
        hits = self.atoms.get(known)
        if hits is None:
            return None
        if any(not self.agree(hits[0][0], other) for other, _ in hits[1:]):
            raise _Ambiguous
        return hits[0]

    def certain(self, formula: Formula, said: float, ways: int) -> Formula | None:
        """The formula, unless its sizes say too little to choose it of so many; then more of it is to be traced."""
        if said >= log2(ways) + MARGIN:
            return formula
        untraced = [at for at in self.elsewhere if at not in self.refused and at not in self.settings]
        if untraced:
            self.apart.append(max(untraced, key=lambda at: evaluate(formula, at)))
        return None

    def agree(self, one: Formula, other: Formula) -> bool:
        """Whether two formulas with the same sizes here have the same sizes at settings that were not traced.

        They may differ where the model was seen not to run, often enough.
        """
        key = (one, other)
        if key not in self.agreed:
            refused = sum(evaluate(one, at) != evaluate(other, at) for at in self.refused)
            near = self.elsewhere if refused < REFUSALS else ()
            differ = (at for at in near if at not in self.refused and evaluate(one, at) != evaluate(other, at))
            self.agreed[key] = next(differ, None)
        if (where := self.agreed[key]) is not None:
            self.apart.append(where)
        return where is None

    def multiple(self, known: Vector, last: int, said: float) -> Formula | None:
        """coefficient · product of symbols · quotient."""
        one = [((), (1,) * (len(known) + 1)), *self.products]
        for place, (names, values) in enumerate(one):
            if any(size % value for size, value in zip(known, values, strict=False)):
                continue
            rest = tuple(size // value for size, value in zip(known, values, strict=False))
            for coefficient in COEFFICIENTS:
                if any(size % coefficient for size in rest):
                    continue
                hit = self.found(tuple(size // coefficient for size in rest))
                if hit is None:
                    continue
                formula, at_last = hit
                if coefficient * values[-1] * at_last == last:
                    head = ((Number(coefficient),) if coefficient > 1 else ()) + tuple(map(Name, names))
                    found = Product((*head, *factors(formula))) if head else formula
                    return self.certain(found, said, len(self.atoms) * (place + 1) * (1 if coefficient == 1 else 4))
        return None

    def counted(self, known: Vector, last: int, said: float) -> Formula | None:
        """A larger number times one or two symbols."""
        for place, (names, values) in enumerate(self.products):
            if len(names) > 2:
                break
            coefficient, rest = divmod(known[0], values[0])
            if rest or any(coefficient * value != size for value, size in zip(values, known, strict=False)):
                continue
            if coefficient * values[-1] == last:
                found = scaled(coefficient, product_of(names))
                return self.certain(found, said, coefficient * coefficient * (place + 1))
        return None

    def shifted(self, known: Vector, last: int, said: float) -> Formula | None:
        """quotient + number; where several fit, they have to agree elsewhere."""
        fitting: list[tuple[Formula, int]] = []
        for place, summand in enumerate(SUMMANDS):
            rest = tuple(size - summand for size in known)
            hit = self.found(rest)
            if hit and hit[1] + summand == last:
                ways = self.ranks[rest] * (place + 1)
                fitting.append((Sum((hit[0], Number(summand))) if summand else hit[0], ways))
        if not fitting:
            return None
        if any(not self.agree(fitting[0][0], other) for other, _ in fitting[1:]):
            raise _Ambiguous
        return self.certain(fitting[0][0], said, fitting[0][1])

    def sum(self, known: Vector, last: int, said: float) -> Formula | None:
        """(coefficient · product or quotient) + coefficient · product of up to two symbols + number."""
        exact = {values[:-1]: (product_of(names), values[-1]) for names, values in reversed(self.products)}
        for place, (names, values) in enumerate(self.products):
            if len(names) > 2:
                break
            for coefficient in (1, 2, 3, -1):
                for summand in (0, 1, 2, 3):
                    rest = tuple(s - coefficient * v - summand for s, v in zip(known, values, strict=False))
                    if min(rest) <= 0:
                        continue
                    hit = exact.get(rest) or self.found(rest)
                    if hit is None or hit[1] + coefficient * values[-1] + summand != last:
                        continue
                    added = (Number(summand),) if summand else ()
                    found = Sum((hit[0], scaled(coefficient, product_of(names)), *added))
                    return self.certain(found, said, (len(self.atoms) + len(exact)) * 16 * (place + 1))
        return None


def _elsewhere(settings: Sequence[Mapping[str, int]], more: Elsewhere) -> Iterator[dict[str, int]]:
    """Settings near the probes, at image sizes that were not traced but divide as those of all probes do."""
    formulas = {name: parse(text) for name, text in more.derived.items() if name in settings[0]}
    probes = settings[1:]
    grains = {side: _common(probes, side, patch, more.tiles) for side, patch in SIDES}
    for place, probe in enumerate(probes):
        for steps in (1, 2, 5, 11, 23):
            far = steps + 2 * place
            made = {**probe} | {side: probe[side] + grain[place] * far for side, grain in grains.items() if grain}
            for name, formula in formulas.items():
                made[name] = evaluate(formula, made)
            yield made


def _common(probes: Sequence[Mapping[str, int]], side: str, patch: str, tiles: Sequence[str]) -> list[int]:
    """What a side is a multiple of in every probe: of the patch there, of the windows and tiles, of a number."""
    if any(side not in probe for probe in probes):
        return []
    grains = [1] * len(probes)
    names = [(name,) for name in probes[0] if name in (patch, "p") or "window" in name]
    for group in (*names, tiles):
        parts = (lcm(*(probe.get(name, 1) for name in group)) for probe in probes)
        finer = [grain * part for grain, part in zip(grains, parts, strict=True)]
        if all(probe[side] % grain == 0 for probe, grain in zip(probes, finer, strict=True)):
            grains = finer
    shared = gcd(*(probe[side] // grain for probe, grain in zip(probes, grains, strict=True)))
    return [grain * shared for grain in grains]


def _combine(formula: Formula, sizes: Sequence[int]) -> int:
    """The formula's value from those of its parts; 0 where it divides by 0."""
    try:
        return formula.combine(sizes)
    except FormulaError:
        return 0


def _candidates(
    names: Sequence[str], numbers: Sequence[int], fractions: Sequence[Fraction], tiles: Sequence[str]
) -> Iterator[Formula]:
    """Every formula to choose from, over symbols of these names; `tiles` divide a grid as windows do.

    `numbers` are patches that no symbol stands for.
    """
    grids = [list(_patch_grids(names, side, patch)) for side, patch in SIDES]
    scaled = [list(_scaled_grids(names, side, numbers, fractions)) for side, _ in SIDES]
    divided = [[*grid, *more] for grid, more in zip(grids, scaled, strict=True)]
    known = [[*(_windows(names, axis) or map(Number, WINDOWS)), *map(Name, tiles)] for axis in range(len(divided))]
    windows = [[*_windowed(*pair), *_tiled(tiles, pair[1])] for pair in zip(known, divided, strict=True)]
    for group in (*divided, [*_spans(names), *_volumes(names), *_shares(names)], *windows):
        yield from group
    rows = [*divided[0], *windows[0], *_fitted(names, 0)]
    columns = [*divided[1], *windows[1], *_fitted(names, 1)]
    for row, column in zip(rows, columns, strict=False):
        yield row
        yield column
        yield Product((*factors(row), *factors(column)))
    if "n" in names:
        yield from (Quotient(Name("n"), Number(bottom)) for bottom in (4, 16, 64))


def _windows(names: Sequence[str], axis: int) -> list[Formula]:
    """The sides of windows; of a pair, that of this axis first: rows with [0] go with columns with [1]."""
    found: list[Formula] = [Name(name) for name in names if "window" in name]
    return found[::-1] if axis == 1 and len(found) == 2 else found


def _windowed(windows: Sequence[Formula], grids: Sequence[Formula]) -> Iterator[Formula]:
    """Grids divided into windows and padded to whole windows."""
    for window in windows:
        for grid in grids:
            down, up = _rounded(grid, window)
            yield from (down, up, Product((window, up)), Product((window, down)))


def _tiled(tiles: Sequence[str], grids: Sequence[Formula]) -> Iterator[Formula]:
    """Grids divided by a symbol, and then into windows."""
    parts = [Quotient(grid, Name(tile)) for tile in tiles for grid in grids]
    yield from (Quotient(part, Number(window)) for window in WINDOWS for part in parts)


def _fitted(names: Sequence[str], axis: int) -> Iterator[Formula]:
    """Windows no larger than the grid they lie on, their spans, how many there are, the grid they make up."""
    side, patch = SIDES[axis]
    stride = next((Name(name) for name in (patch, "p") if name in names), None)
    first = stride or Number(4)
    for window in _windows(names, axis) if side in names else ():
        for more in (1, 2, 4, 8):
            step = Number(4 * more) if stride is None else scaled(more, stride)
            down, up = _rounded(Name(side), step)[0], _rounded(_rounded(Name(side), first)[0], Number(more))[1]
            for grid in (down, up) if more > 1 else (down,):
                fits = Least((window, grid))
                count = _rounded(grid, fits)[1]
                yield from (fits, Product((fits, fits)), Sum((Product((Number(2), fits)), Number(-1))))
                yield from (count, Product((fits, count)))


def _patch_grids(names: Sequence[str], side: str, patch: str) -> Iterator[Formula]:
    """The side divided by a patch and then by strides, each rounded down or up."""
    if side not in names:
        return
    patches = [name for name in (patch, "p") if name in names][:1]
    strides: list[Formula] = [*map(Name, patches), Number(4)]
    for stride in strides:
        down, up = _rounded(Name(side), stride)
        yield from (down, up)
        for more in (2, 4, 8):
            whole = Product((Number(more), stride)) if isinstance(stride, Name) else Number(4 * more)
            once_down, once_up = _rounded(Name(side), whole)
            yield from (once_down, _rounded(down, Number(more))[1], _rounded(up, Number(more))[0], once_up)
    for more, base in ((1, 4), (2, 4), (1, 8)):  # a convolution that reaches over the edge, wider than its stride
        reaching = Quotient(Sum((Name(side), Number(more))), Number(base))
        yield reaching
        for further in (2, 4, 8):
            yield from _rounded(reaching, Number(further))
    for name in patches:
        half = Quotient(Name(name), Number(2))
        lapped = Sum((Quotient(Sum((Name(side), Product((Number(-1), Name(name))))), half), Number(1)))
        yield lapped
        for more in (2, 4, 8):
            yield from _rounded(lapped, Number(more))
    for number in STRIDES:
        yield from _rounded(Name(side), Number(number))
    for number in (4, 8, 16):  # patches twice as wide as their stride
        yield Sum((Quotient(Name(side), Number(number)), Number(-1)))
    for number in (2, 8, 16, 32):  # a grid that rounds one way, reduced in the other
        for grid in _rounded(Name(side), Number(number)):
            for more in (2, 4, 8):
                yield from _rounded(grid, Number(more))


def _scaled_grids(
    names: Sequence[str], side: str, numbers: Sequence[int], fractions: Sequence[Fraction]
) -> Iterator[Formula]:
    """The side divided by any patch; the side of an image that the model scales, and that divided by any patch."""
    if side not in names:
        return
    patches = [*(Name(name) for name in ("p", "p1", "p2") if name in names), *map(Number, numbers)]
    images = [Quotient(scaled(one.numerator, Name(side)), Number(one.denominator)) for one in fractions]
    yield from images
    for image, strides in ((Name(side), ()), *((image, STRIDES) for image in images)):
        for patch in (*patches, *map(Number, strides)):
            yield from _rounded(image, patch)


def _spans(names: Sequence[str]) -> Iterator[Formula]:
    """How many relative positions a side has, and an area: 2*window - 1."""
    sides = [name for name in names if "window" in name or name in ("h", "w")]
    spans: dict[str, Formula] = {name: Sum((Product((Number(2), Name(name))), Number(-1))) for name in sides}
    for name, span in spans.items():
        yield span
        if name not in ("h", "w"):
            yield Product((span, span))
            yield Product((Name(name),) * 4)
    if "h" in spans and "w" in spans:
        yield Product((spans["h"], spans["w"]))
    pair = _windows(names, 0)
    if len(pair) == 2:
        yield Product(tuple(spans[str(window)] for window in pair))
        yield Product((*pair, *pair))


def _volumes(names: Sequence[str]) -> Iterator[Formula]:
    """What one patch holds, where that is a product of four; and the pixels of one that is taken by strides."""
    for one, other in (("p", "p"), ("p1", "p2")):
        for bottom in (2, 4, 8) if {one, other} <= {*names} else ():
            for rows, columns in zip(*(_rounded(Name(side), Number(bottom)) for side in (one, other)), strict=True):
                yield from (rows, columns, Product((rows, columns)))
    for patch in ("p", "p1"):
        if patch in names and "pt" in names:
            sides = (Name(patch), Name("p2" if patch == "p1" else "p"), Name("pt"))
            yield Product(sides)
            yield from (Product((Name(name), *sides)) for name in names if name == "c")


def _shares(names: Sequence[str]) -> Iterator[Formula]:
    """A part of a symbol, rounded down: dim//heads, dim//2, 8*dim//3."""
    heads = [name for name in names if "head" in name or "key_dim" in name]
    for other in heads:
        for one in (name for name in names if name not in heads):
            yield from (Quotient(scaled(factor, Name(one)), Name(other)) for factor in (1, 2, 4, 8))
    for name in (name for name in names if name not in ("b", "H", "W", "h", "w", "n", "T", "L")):
        for bottom in (2, 4, 8, 16, 3, 6, 32, 12, 24, 5, 64):
            for top in (1, 2, 4, 8, 3, 5, 16):
                if top % bottom and (bottom % top or top == 1):
                    yield Quotient(scaled(top, Name(name)), Number(bottom))


def _rounded(top: Formula, bottom: Formula) -> tuple[Formula, Formula]:
    """top over bottom, rounded down and rounded up."""
    more = (Number(bottom.value - 1),) if isinstance(bottom, Number) else (bottom, Number(-1))
    return Quotient(top, bottom), Quotient(Sum((*terms(top), *more)), bottom)
