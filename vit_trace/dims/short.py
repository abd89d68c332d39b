"""Names for what formulas repeat: the grid of each stage and its windows. `b × h2 × w2 × 2*dim`.

A quotient that many dimensions share becomes a symbol that follows from others; the formulas say the same as before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from msgspec.structs import replace

from vit_trace.base.trace import Construction, Stage, Symbol, TensorSpec, Trace
from vit_trace.dims.formula import (
    Formula,
    Least,
    Product,
    Quotient,
    Sum,
    evaluate,
    factors,
    listed,
    parse,
    symbols,
    written,
)

OFTEN = 4
"""Dimensions that have to share a quotient before it gets a name."""

SIDES = {"H": ("h", "rows"), "W": ("w", "columns"), "T": ("t", "frames")}


def shortened(trace: Trace) -> Trace:
    """The trace with symbols for quotients of an image side that it repeats."""
    known = {symbol.formula: name for name, symbol in trace.symbols.items() if symbol.formula}
    counts: Counter[Formula] = Counter()
    for dim, count in Counter(dim for stage in trace.stages for spec in stage.outputs for dim in spec.dims).items():
        if "//" in dim:
            for part in quotients(parse(dim)):
                counts[part] += count
    common = [part for part, count in counts.items() if count >= OFTEN]
    if not common:
        return trace
    values = {name: symbol.value for name, symbol in trace.symbols.items()}
    named = names({part: evaluate(part, values) for part in common if written(part) not in known}, set(trace.symbols))
    if not named:
        return trace
    grid = {parse(formula): name for formula, name in known.items() if "//" in formula}
    made = {
        name: Symbol(evaluate(part, values), meaning(part, named), written(inside(part, {**grid, **named})))
        for part, name in sorted(named.items(), key=lambda item: len(written(item[0])))
    }
    return Shortener(named).trace(replace(trace, symbols={**trace.symbols, **made}))


def quotients(formula: Formula) -> list[Formula]:
    """The quotients of an image side in a formula and the least of one, whole and within one another."""
    match formula:
        case Quotient(top, bottom):
            return [*([formula] if of_one_side(formula) else []), *quotients(top), *quotients(bottom)]
        case Least(parts):
            inner = [one for part in parts for one in quotients(part)]
            return [*([formula] if of_one_side(formula) else []), *inner]
        case Sum(parts) | Product(parts):
            return [one for part in parts for one in quotients(part)]
    return []


def sides(formula: Formula) -> set[str]:
    return set(SIDES) & symbols(formula)


def of_one_side(formula: Formula) -> bool:
    return len(sides(formula)) == 1


def windowed(formula: Formula) -> bool:
    """Whether a quotient counts windows: it divides by one, or divides a grid again by a number of its own."""
    return isinstance(formula, Quotient) and any("window" in name for name in symbols(formula.bottom))


def prefix_of(formula: Formula) -> str:
    if isinstance(formula, Least):
        return "win"
    return "n" if windowed(formula) else ""


def names(values: Mapping[Formula, int], taken: set[str]) -> dict[Formula, str]:
    """A name for each quotient: h, w, t with the number of the stage, nh and nw where it counts windows, winh and winw
    where it is the side of a window that fits.

    Rows and columns that are made alike get the same number.
    """
    found: dict[Formula, str] = {}
    for kind in ("", "win", "n"):
        mine = [one for one in values if prefix_of(one) == kind]
        sizes: dict[str, int] = {}
        for one in mine:
            sizes[alike(one)] = max(values[one], sizes.get(alike(one), 0))
        ranked = sorted(sizes, key=lambda text: (-sizes[text], len(text), text))
        for one in mine:
            prefix = kind + SIDES[next(iter(sides(one)))][0]
            name = f"{prefix}{ranked.index(alike(one)) + (2 if prefix in taken else 1)}"
            while name in taken:
                name += "_"
            found[one] = name
    return found


def alike(formula: Formula) -> str:
    """The quotient's text with any side for the image's: equal for rows and columns that are made alike."""
    return re.sub(r"\b[HWT]\b", "side", re.sub(r"\bp[12]\b", "p", written(formula)))


def meaning(formula: Formula, named: Mapping[Formula, str]) -> str:
    side = next(iter(sides(formula)))
    what = SIDES[side][1]
    if isinstance(formula, Least):
        return f"{what} of a window of a stage"
    return f"{what} of windows" if windowed(formula) else f"{what} of a stage"


def inside(formula: Formula, named: Mapping[Formula, str]) -> Formula:
    """A named quotient in terms of the other names."""
    if isinstance(formula, Quotient):
        return Quotient(short(formula.top, named), short(formula.bottom, named))
    if isinstance(formula, Least):
        return Least(tuple(short(part, named) for part in formula.parts))
    return formula


def short(formula: Formula, named: Mapping[Formula, str]) -> Formula:
    """The formula with names in place of the quotients that have one."""
    from vit_trace.dims.formula import Symbol as Name

    if formula in named:
        return Name(named[formula])
    match formula:
        case Sum(parts):
            return Sum(tuple(short(part, named) for part in parts))
        case Product(parts):
            return Product(tuple(one for part in parts for one in factors(short(part, named))))
        case Quotient(top, bottom):
            return Quotient(short(top, named), short(bottom, named))
        case Least(parts):
            return Least(tuple(short(part, named) for part in parts))
    return formula


class Shortener:
    """Rewrites every formula of a trace, each text once."""

    def __init__(self, named: Mapping[Formula, str]) -> None:
        self.named = named
        self.done: dict[str, str] = {}

    def dim(self, text: str) -> str:
        if "//" not in text:
            return text
        if text not in self.done:
            self.done[text] = written(short(parse(text), self.named))
        return self.done[text]

    def spec(self, spec: TensorSpec) -> TensorSpec:
        if not any("//" in dim for dim in spec.dims):
            return spec
        return replace(spec, dims=tuple(map(self.dim, spec.dims)))

    def stage(self, stage: Stage) -> Stage:
        inputs, outputs = tuple(map(self.spec, stage.inputs)), tuple(map(self.spec, stage.outputs))
        return replace(stage, inputs=inputs, outputs=outputs)

    def construction(self, record: Construction) -> Construction:
        if record.formula is None or "//" not in record.formula:
            return record
        return replace(record, formula=", ".join(map(self.dim, listed(record.formula))))

    def trace(self, trace: Trace) -> Trace:
        return replace(
            trace,
            stages=tuple(map(self.stage, trace.stages)),
            outputs=tuple(map(self.spec, trace.outputs)),
            parameters=tuple(replace(one, dims=tuple(map(self.dim, one.dims))) for one in trace.parameters),
            construction=tuple(map(self.construction, trace.construction)),
        )
