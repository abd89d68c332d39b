"""Walks every shape of a trace: the one way to change the sizes or the formulas of all its records.

Given other traces of the same target, it passes each record together with its counterpart in each of them. No torch.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

from vit_trace.base.trace import Construction, Parameter, Stage, TensorSpec, Trace

Key = tuple[object, ...]
Record = TypeVar("Record", Stage, Parameter, Construction)
Sized = TypeVar("Sized", TensorSpec, Parameter)


SizedChange = Callable[[Any, Sequence[Any]], Any]
"""What becomes of a tensor or a parameter, given its counterparts in other traces."""

QuantityChange = Callable[[Construction, Sequence[Construction | None]], Construction]
"""What becomes of a quantity that a constructor worked out."""


class _Counterparts(NamedTuple):
    """What corresponds in other traces to each record of a trace, with None where a trace has nothing."""

    stages: list[list[Stage | None]]
    parameters: list[list[Parameter | None]]
    construction: list[list[Construction | None]]
    outputs: list[Sequence[TensorSpec]]


def counterparts(trace: Trace, others: Sequence[Trace]) -> _Counterparts:
    """The counterparts of the records of a trace."""
    return _Counterparts(
        _matched(trace.stages, [one.stages for one in others], stage_keys),
        _matched(trace.parameters, [one.parameters for one in others], lambda records: [one.name for one in records]),
        _matched(
            trace.construction,
            [one.construction for one in others],
            lambda records: [(one.module, one.name) for one in records],
        ),
        [one.outputs for one in others],
    )


def map_specs(trace: Trace, sized: SizedChange, quantity: QuantityChange, others: _Counterparts | None = None) -> Trace:
    """The trace with every tensor, parameter and constructor quantity changed."""
    stages, parameters, construction, outputs = others or counterparts(trace, ())

    def changed(stage: Stage, beside: Sequence[Stage | None]) -> Stage:
        inputs = map_tensors(sized, stage.inputs, [one.inputs if one else () for one in beside])
        made = map_tensors(sized, stage.outputs, [one.outputs if one else () for one in beside])
        return replace(stage, inputs=inputs, outputs=made)

    return replace(
        trace,
        stages=tuple(map(changed, trace.stages, stages)),
        parameters=tuple(map(sized, trace.parameters, parameters)),
        construction=tuple(map(quantity, trace.construction, construction)),
        outputs=map_tensors(sized, trace.outputs, outputs),
    )


def map_tensors(
    sized: SizedChange, specs: Sequence[TensorSpec], others: Sequence[Sequence[TensorSpec]] = ()
) -> tuple[TensorSpec, ...]:
    """The tensors changed, each beside the tensors at its path."""
    tables = [{other.path: other for other in reversed(one)} for one in others]
    return tuple(sized(spec, [table.get(spec.path) for table in tables]) for spec in specs)


def _matched(
    own: Sequence[Record], others: Sequence[Sequence[Record]], keys: Callable[[Sequence[Record]], Iterable[object]]
) -> list[list[Record | None]]:
    """For each record the records of the same key in the others."""
    tables = [dict(zip(keys(records), records, strict=True)) for records in others]
    return [[table.get(key) for table in tables] for key in keys(own)] if others else [[] for _ in own]


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
