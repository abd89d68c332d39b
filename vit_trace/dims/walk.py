"""Walks every shape of a trace: the one way to change the sizes or the formulas of all its records.

Given other traces of the same target, it passes each record together with its counterpart in each of them. No torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from vit_trace.base.trace import Construction, Parameter, Stage, TensorSpec, Trace

Key = tuple[object, ...]
Record = TypeVar("Record")
Sized = TypeVar("Sized", TensorSpec, Parameter)


class SpecChange:
    """What becomes of the records of a trace.

    `others` are the counterparts of a record in other traces, with None where a trace has none.
    """

    def sized(self, record: Sized, others: Sequence[Sized | None]) -> Sized:
        """A tensor or a parameter: a shape with a formula for each axis."""
        raise NotImplementedError

    def quantity(self, record: Construction, others: Sequence[Construction | None]) -> Construction:
        """A quantity that a constructor worked out."""
        raise NotImplementedError


def map_specs(trace: Trace, change: SpecChange, others: Sequence[Trace] = ()) -> Trace:
    """The trace with every tensor, parameter and constructor quantity changed."""
    stages = counterparts(trace.stages, [one.stages for one in others], stage_keys)
    parameters = counterparts(trace.parameters, [one.parameters for one in others], parameter_keys)
    built = counterparts(trace.construction, [one.construction for one in others], construction_keys)
    return replace(
        trace,
        stages=tuple(map_stage(one, change, theirs) for one, theirs in stages),
        parameters=tuple(change.sized(one, theirs) for one, theirs in parameters),
        construction=tuple(change.quantity(one, theirs) for one, theirs in built),
        outputs=map_tensors(trace.outputs, change, [one.outputs for one in others]),
    )


def map_stage(stage: Stage, change: SpecChange, others: Sequence[Stage | None]) -> Stage:
    """The stage with its inputs and outputs changed."""
    inputs = map_tensors(stage.inputs, change, [one.inputs if one else () for one in others])
    outputs = map_tensors(stage.outputs, change, [one.outputs if one else () for one in others])
    return replace(stage, inputs=inputs, outputs=outputs)


def map_tensors(
    specs: Sequence[TensorSpec], change: SpecChange, others: Sequence[Sequence[TensorSpec]] = ()
) -> tuple[TensorSpec, ...]:
    """The tensors changed, each beside the tensors at its path."""
    return tuple(
        change.sized(spec, [next((other for other in one if other.path == spec.path), None) for one in others])
        for spec in specs
    )


# -- which records correspond --------------------------------------------------------------------------------------


def counterparts(
    own: Sequence[Record], others: Sequence[Sequence[Record]], keys: Callable[[Sequence[Record]], Iterable[Key]]
) -> list[tuple[Record, list[Record | None]]]:
    """Each record with the record of the same key in each of the others."""
    if not others:
        return [(record, []) for record in own]
    tables = [dict(zip(keys(records), records, strict=True)) for records in others]
    return [(record, [table.get(key) for table in tables]) for key, record in zip(keys(own), own, strict=True)]


def stage_keys(stages: Sequence[Stage]) -> list[Key]:
    """A module stage is known by its path, a step by its place in the source; both by how often they came before."""
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
