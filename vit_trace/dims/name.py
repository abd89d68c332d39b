"""Give every dimension of a trace its formula, from traces of the same target at other settings.

Works on traces alone: no torch, no target. A dimension whose formula is not certain stays a number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from vit_trace.base.trace import Construction, Parameter, Stage, TensorSpec, Trace
from vit_trace.dims.formula import Number, written
from vit_trace.dims.search import Search

PROBES_NEEDED = 3
"""Settings beside the real one: two to search on, one to confirm."""

Key = tuple[object, ...]
Named = tuple[tuple[str, ...], tuple[int, ...]]
Record = TypeVar("Record")


def name_dims(trace: Trace, probes: Sequence[Trace], repeats: bool = False, checks: Sequence[Trace] = ()) -> Trace:
    """The trace with formulas for what the probes, traced with other values of the symbols, establish.

    A formula has to hold in the `checks` too, which are traces near the real one; they establish nothing alone.

    `repeats` says that the target's blocks are made by one loop with the same arguments, so that probes with fewer of
    them will do: a stage of a block beyond them takes over the formulas of its equal in a block that they have.
    """
    return Namer(trace, probes, repeats, checks).named()


class Namer:
    """The real trace beside its probes, stage by stage."""

    def __init__(self, trace: Trace, probes: Sequence[Trace], repeats: bool, checks: Sequence[Trace]) -> None:
        self.trace = trace
        self.repeats = repeats
        self.independent = len(probes)
        self.probes = probes = (*probes, *checks)
        self.searches: dict[tuple[int, ...], Search] = {}
        self.settings = [{name: symbol.value for name, symbol in one.symbols.items()} for one in (trace, *probes)]
        self.specs: dict[object, Named] = {}

    def named(self) -> Trace:
        trace = self.trace
        stages = self.matched(trace.stages, [probe.stages for probe in self.probes], stage_keys)
        parameters = self.matched(trace.parameters, [probe.parameters for probe in self.probes], parameter_keys)
        built = self.matched(trace.construction, [probe.construction for probe in self.probes], construction_keys)
        outputs = [(spec, self.same_path(spec, [probe.outputs for probe in self.probes])) for spec in trace.outputs]
        return replace(
            trace,
            stages=self.all_named(stages, self.stage, stage_likeness),
            parameters=self.all_named(parameters, self.parameter, parameter_likeness),
            construction=self.all_named(built, self.construction, construction_likeness),
            outputs=tuple(self.spec(spec, others) for spec, others in outputs),
        )

    def matched(
        self,
        real: Sequence[Record],
        others: Sequence[Sequence[Record]],
        keys: Callable[[Sequence[Record]], Iterable[Key]],
    ) -> list[tuple[Record, list[Record | None]]]:
        """Each real record with the record of the same key in each probe."""
        tables = [dict(zip(keys(records), records, strict=True)) for records in others]
        return [(record, [table.get(key) for table in tables]) for key, record in zip(keys(real), real, strict=True)]

    def all_named(
        self,
        matched: Sequence[tuple[Record, list[Record | None]]],
        name: Callable[[Record, Sequence[Record | None]], Record],
        likeness: Callable[[Record], Key],
    ) -> tuple[Record, ...]:
        """Every record with its formulas; one that no probe has takes over those of the records that are its like."""
        named = [name(record, others) for record, others in matched]
        if not self.repeats:
            return tuple(named)
        alone = [not any(others) for _, others in matched]
        models: dict[Key, Record | None] = {}
        for (record, _), made, lonely in zip(matched, named, alone, strict=True):
            if not lonely:
                key = likeness(record)
                models[key] = made if key not in models or same_formulas(models[key], made) else None
        return tuple(
            taken_over(made, models.get(likeness(record))) if lonely else made
            for (record, _), made, lonely in zip(matched, named, alone, strict=True)
        )

    def stage(self, stage: Stage, others: Sequence[Stage | None]) -> Stage:
        inputs = [other.inputs if other else () for other in others]
        outputs = [other.outputs if other else () for other in others]
        return replace(
            stage,
            inputs=tuple(self.spec(spec, self.same_path(spec, inputs)) for spec in stage.inputs),
            outputs=tuple(self.spec(spec, self.same_path(spec, outputs)) for spec in stage.outputs),
        )

    def same_path(self, spec: TensorSpec, others: Sequence[Sequence[TensorSpec]]) -> list[TensorSpec | None]:
        """The tensor at the same path in each probe."""
        return [next((other for other in specs if other.path == spec.path), None) for specs in others]

    def spec(self, spec: TensorSpec, others: Sequence[TensorSpec | None]) -> TensorSpec:
        shapes = [other.shape if other else None for other in others]
        dims, constant = self.dims(spec.shape, shapes)
        return TensorSpec(spec.path, spec.shape, dims, spec.dtype, constant)

    def parameter(self, parameter: Parameter, others: Sequence[Parameter | None]) -> Parameter:
        shapes = [other.shape if other else None for other in others]
        dims, constant = self.dims(parameter.shape, shapes)
        return replace(parameter, dims=dims, constant=constant)

    def construction(self, record: Construction, others: Sequence[Construction | None]) -> Construction:
        """A whole number or a tuple of them; a fraction has no formula."""
        values = [other.value if other else None for other in others]
        shape = whole(record.value)
        first = values[: self.independent]
        if shape is None or any(type(value) is not type(record.value) for value in first):
            return record
        shapes = [whole(value) if type(value) is type(record.value) else None for value in values]
        dims, constant = self.dims(shape, shapes)
        known = [axis in constant or dim != str(shape[axis]) for axis, dim in enumerate(dims)]
        return replace(record, formula=", ".join(dims)) if all(known) else record

    def dims(self, shape: tuple[int, ...], others: Sequence[tuple[int, ...] | None]) -> Named:
        """A formula per axis, or its size as text; and the axes that do not change."""
        used = tuple(place for place, other in enumerate(others) if other is not None and len(other) == len(shape))
        aligned = tuple(other for other in others if other is not None and len(other) == len(shape))
        key = (shape, aligned, used)
        if key not in self.specs:
            plain = tuple(map(str, shape)), ()
            enough = sum(place < self.independent for place in used) >= PROBES_NEEDED
            self.specs[key] = self.solved(shape, aligned, used) if enough else plain
        return self.specs[key]

    def solved(self, shape: tuple[int, ...], aligned: tuple[tuple[int, ...], ...], used: tuple[int, ...]) -> Named:
        if used not in self.searches:
            settings = [self.settings[place + 1] for place in used]
            count = sum(place < self.independent for place in used)
            self.searches[used] = Search([self.settings[0], *settings[:count]], settings[count:])
        search = self.searches[used]
        formulas = [search.formula(vector) for vector in zip(shape, *aligned, strict=True)]
        dims = tuple(written(formula or Number(size)) for formula, size in zip(formulas, shape, strict=True))
        return dims, tuple(axis for axis, formula in enumerate(formulas) if isinstance(formula, Number))


def whole(value: int | float | tuple[int, ...] | None) -> tuple[int, ...] | None:
    """A number or a tuple of them as a tuple; None for a fraction."""
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, int) else None


def stage_keys(stages: Sequence[Stage]) -> list[Key]:
    """A module stage is known by its path, a step by where it stands in the source; both by how often they came."""
    counts: Counter[Key] = Counter()
    keys = []
    for stage in stages:
        place: Key
        if stage.kind == "module":
            place = ("module", stage.module)
        elif stage.source is None:
            place = (stage.kind, stage.name)
        else:
            place = (stage.kind, stage.module, stage.operation, stage.source.line, stage.source.column)
        keys.append((*place, counts[place]))
        counts[place] += 1
    return keys


def parameter_keys(parameters: Sequence[Parameter]) -> list[Key]:
    return [(parameter.name,) for parameter in parameters]


def construction_keys(records: Sequence[Construction]) -> list[Key]:
    return [(record.module, record.name) for record in records]


def general(path: str) -> str:
    """A path without the number of its block: what stands at this place in every block."""
    return re.sub(r"\d+", "*", path, count=1)


def stage_likeness(stage: Stage) -> Key:
    """What two stages share that do the same in different blocks."""
    span = (stage.source.file, stage.source.line, stage.source.column) if stage.source else None
    shapes = tuple((spec.path, spec.shape, spec.dtype) for spec in (*stage.inputs, *stage.outputs))
    return (stage.kind, stage.operation, stage.pattern, general(stage.module), span, len(stage.inputs), shapes)


def parameter_likeness(parameter: Parameter) -> Key:
    return (general(parameter.name), parameter.shape, parameter.dtype)


def construction_likeness(record: Construction) -> Key:
    return (general(record.module), record.name, record.value, record.source)


def same_formulas(one: Record | None, other: Record) -> bool:
    """Whether two records of one likeness were given the same formulas."""
    return one is not None and taken_over(other, one) == other


def taken_over(record: Record, model: Record | None) -> Record:
    """The record with its model's formulas; the shapes are the same."""
    match record, model:
        case Stage(), Stage():
            return replace(record, inputs=model.inputs, outputs=model.outputs)
        case Parameter(), Parameter():
            return replace(record, dims=model.dims, constant=model.constant)
        case Construction(), Construction():
            return replace(record, formula=model.formula)
    return record
