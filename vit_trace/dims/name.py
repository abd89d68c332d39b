"""Gives every dimension of a trace its formula, from traces of the same target at other settings.

Works on traces alone: no torch, no target. A dimension whose formula is not certain stays a number.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import isfinite

from msgspec.structs import replace

from vit_trace.base.roles import RATIO
from vit_trace.base.trace import Construction, Diagnostic, Parameter, Stage, Trace
from vit_trace.dims.formula import Number
from vit_trace.dims.search import MOST_SEARCHED, FormulaSearch
from vit_trace.dims.walk import Key, Record, Sized, counterparts, map_specs
from vit_trace.dims.wide import Elsewhere

PROBES_NEEDED = 3
"""Settings beside the real one: two to search on, one to confirm."""

MOST_PARTS, CLOSE = 64, 1e-9
"""Largest denominator of a fraction that a side is multiplied by, and how near to the fraction it is."""

Shape = tuple[int, ...]
Named = tuple[tuple[str, ...], tuple[int, ...]]
"""A formula for each axis, or its size as text; and the axes that have one size at every setting."""


@dataclass(frozen=True)
class Beside:
    """Traces that establish no formula. A formula has to hold in the `checks`; what is constant has to stay in the
    `witnesses`, where numbers that no symbol stands for have other values. `unseen` says that there are such numbers
    that no witness changes: then no size but 1 is constant. `apart` is filled with settings at which formulas differ
    that fit everywhere else; at the `refused` ones the model does not run. `tiles` are symbols that divide a grid.
    """

    checks: Sequence[Trace] = ()
    witnesses: Sequence[Trace] = ()
    unseen: bool = False
    apart: list[Mapping[str, int]] = field(default_factory=list)
    refused: Sequence[Mapping[str, int]] = ()
    tiles: Sequence[str] = ()


def name_dims(trace: Trace, probes: Sequence[Trace], repeats: bool = False, beside: Beside | None = None) -> Trace:
    """The trace with the formulas that its probes, traced with other values of the symbols, establish.

    Args:
        repeats: one loop makes the target's blocks with the same arguments, so that probes may have fewer of them. A
            stage of a block beyond those takes the formulas of its equal in a block that the probes have.
        beside: traces that formulas and constants have to hold in too.
    """
    beside = beside or Beside()
    others = counterparts(trace, (*probes, *beside.checks, *beside.witnesses))
    naming = _Naming(trace, probes, beside)
    named = map_specs(trace, naming.sized, naming.quantity, others)
    beside.apart[:] = [where for search in naming.searches.values() for where in search.apart]
    if (left := sum(search.left for search in naming.searches.values())) and trace.failure is None:
        message = f"{left} sizes have no formulas: the search ends after {MOST_SEARCHED} different sizes"
        named = replace(named, diagnostics=(*named.diagnostics, Diagnostic("formulas", "note", message)))
    if not repeats:
        return named
    return replace(
        named,
        stages=_copy_formulas(named.stages, others.stages, ("inputs", "outputs")),
        parameters=_copy_formulas(named.parameters, others.parameters, ("dims", "constant")),
        construction=_copy_formulas(named.construction, others.construction, ("formula",)),
    )


class _Naming:
    """Names each record by its counterparts in the probes."""

    def __init__(self, trace: Trace, probes: Sequence[Trace], beside: Beside) -> None:
        self.independent = len(probes)
        self.probing = len(probes) + len(beside.checks)
        self.unseen = beside.unseen
        self.searches: dict[tuple[int, ...], FormulaSearch] = {}
        every = (trace, *probes, *beside.checks)
        self.settings = [{name: symbol.value for name, symbol in one.symbols.items()} for one in every]
        derived = {name: one.formula for name, one in trace.symbols.items() if one.formula is not None}
        self.elsewhere = Elsewhere(derived, beside.refused, _fractions(trace), beside.tiles)
        self.done: dict[Key, Named] = {}

    def sized(self, record: Sized, others: Sequence[Sized | None]) -> Sized:
        dims, constant = self.dims(record.shape, [other.shape if other else None for other in others])
        return replace(record, dims=dims, constant=constant)

    def quantity(self, record: Construction, others: Sequence[Construction | None]) -> Construction:
        """A whole number or a tuple of them; a fraction has no formula."""
        values = [other.value if other else None for other in others]
        shape = _whole(record.value)
        first = values[: self.independent]
        if shape is None or any(type(value) is not type(record.value) for value in first):
            return record
        shapes = [_whole(value) if type(value) is type(record.value) else None for value in values]
        dims, constant = self.dims(shape, shapes)
        known = [axis in constant or dim != str(shape[axis]) for axis, dim in enumerate(dims)]
        return replace(record, formula=", ".join(dims)) if all(known) else record

    def dims(self, shape: Shape, others: Sequence[Shape | None]) -> Named:
        probing, witnesses = others[: self.probing], others[self.probing :]
        used = tuple(place for place, other in enumerate(probing) if other is not None and len(other) == len(shape))
        aligned = tuple(other for other in probing if other is not None and len(other) == len(shape))
        key = (shape, aligned, used)
        if key not in self.done:
            enough = sum(place < self.independent for place in used) >= PROBES_NEEDED
            self.done[key] = self.solve(shape, aligned, used) if enough else (tuple(map(str, shape)), ())
        dims, constant = self.done[key]
        return dims, tuple(axis for axis in constant if self.stays(shape, axis, witnesses))

    def stays(self, shape: Shape, axis: int, witnesses: Sequence[Shape | None]) -> bool:
        """Whether a size is the same in every witness that has the stage."""
        if self.unseen and shape[axis] != 1:
            return False
        there = (one for one in witnesses if one is not None)
        return all(len(one) == len(shape) and one[axis] == shape[axis] for one in there)

    def solve(self, shape: Shape, aligned: tuple[Shape, ...], used: tuple[int, ...]) -> Named:
        if used not in self.searches:
            settings = [self.settings[place + 1] for place in used]
            count = sum(place < self.independent for place in used)
            self.searches[used] = FormulaSearch([self.settings[0], *settings[:count]], settings[count:], self.elsewhere)
        search = self.searches[used]
        formulas = [search.formula(vector) for vector in zip(shape, *aligned, strict=True)]
        dims = tuple(str(formula or size) for formula, size in zip(formulas, shape, strict=True))
        return dims, tuple(axis for axis, formula in enumerate(formulas) if isinstance(formula, Number))


def _fractions(trace: Trace) -> list[Fraction]:
    """What the model may multiply the sides of its image by: fractions among its hyperparameters that are ratios."""
    values = [value for name, value in trace.target.hyperparameters.items() if RATIO.search(name)]
    parts = [part for value in values for part in (value if isinstance(value, (list, tuple)) else [value])]
    finite = [part for part in parts if isinstance(part, float) and isfinite(part)]
    near = {part: Fraction(part).limit_denominator(MOST_PARTS) for part in finite}
    return [one for part, one in near.items() if min(one.numerator, one.denominator) > 1 and abs(one - part) < CLOSE]


def _whole(value: int | float | Shape | None) -> Shape | None:
    """A number or a tuple of them as a tuple; None for a fraction."""
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, int) else None


def _copy_formulas(
    records: Sequence[Record], others: Sequence[list[Record | None]], fields: tuple[str, ...]
) -> tuple[Record, ...]:
    """The records; one that no probe has takes the formulas, in these fields, that all records of its likeness have."""
    models: dict[Key, dict[str, object]] = {}
    for record in (record for record, theirs in zip(records, others, strict=True) if any(theirs)):
        formulas = {field: getattr(record, field) for field in fields}
        if models.setdefault(_likeness(record), formulas) != formulas:
            models[_likeness(record)] = {}
    return tuple(
        record if any(theirs) else replace(record, **models.get(_likeness(record), {}))
        for record, theirs in zip(records, others, strict=True)
    )


def _likeness(record: Stage | Parameter | Construction) -> Key:
    """What records share that stand at the same place in different blocks."""
    place = re.sub(r"\d+", "*", record.name if isinstance(record, Parameter) else record.module, count=1)
    if isinstance(record, Parameter):
        return (place, record.shape, record.dtype)
    if isinstance(record, Construction):
        return (place, record.name, record.value, record.source)
    span = (record.source.file, record.source.line, record.source.column) if record.source else None
    shapes = tuple((spec.path, spec.shape, spec.dtype) for spec in (*record.inputs, *record.outputs))
    return (place, record.kind, record.operation, record.pattern, span, len(record.inputs), shapes)
