"""Finds lookups of rows that a table does not have, which a real run refuses and the meta device accepts.

Works on a trace that ran; no torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from vit_trace.base.trace import Failure, Operand, Parameter, Stage, TensorSpec, Trace, Value

MOVES = {"unsqueeze", "expand", "view", "reshape", "repeat", "flatten", "squeeze", "transpose", "expand_as", "to"}
MOVES |= {"long", "int", "type", "rearrange", "clone", "contiguous", "view_as"}
"""Operations that keep the values of an index."""

WHOLE = ("int64", "int32")


@dataclass(frozen=True)
class _Refusal:
    """The stage, with the call that raises there: `kind` is the exception's, the rest is as a failure records it."""

    stage: Stage
    code: str
    message: str
    kind: str
    call: str
    operands: tuple[Operand, ...]
    arguments: dict[str, Value]


def refused(trace: Trace) -> Trace:
    """The trace; if a real run would refuse a stage before the one that failed, cut off with a failure there."""
    if trace.target.device != "meta":
        return trace
    found = next(_missing_rows(trace), None)
    failed = trace.failure.stage if trace.failure is not None else len(trace.stages)
    return trace if found is None or failed is None or found.stage.index >= failed else _cut_off(trace, found)


def _cut_off(trace: Trace, refusal: _Refusal) -> Trace:
    """The trace up to a stage, which failed."""
    stage = refusal.stage
    failure = Failure(
        code=refusal.code,
        severity="error",
        message=refusal.message,
        span=stage.source,
        notes=("shapes alone would do: this stops a real forward, on CPU or GPU, but not one on meta",),
        stage=stage.index,
        exception=f"{refusal.kind}: {refusal.message}",
        call=refusal.call,
        operands=refusal.operands,
        arguments=refusal.arguments,
        modules=stack(trace, stage),
    )
    stages = (*trace.stages[: stage.index], replace(stage, outputs=(), flops=0))
    open_now = set(around(trace, stage))
    stages = tuple(replace(one, outputs=()) if one.index in open_now else one for one in stages)
    totals = replace(trace.totals, stages=len(stages), flops=sum(one.flops for one in stages))
    return replace(trace, stages=stages, outputs=(), failure=failure, totals=totals)


def _as_operand(spec: TensorSpec) -> Operand:
    return Operand("input", spec.shape, spec.dims, spec.dtype)


def around(trace: Trace, stage: Stage) -> Iterator[int]:
    """Indices of the stages that a stage is inside of."""
    while stage.parent is not None:
        stage = trace.stages[stage.parent]
        yield stage.index


def stack(trace: Trace, stage: Stage) -> tuple[str, ...]:
    """The modules a stage was called through, outermost first."""
    found = [trace.stages[index] for index in around(trace, stage)]
    found = [*reversed(found), *([stage] if stage.kind == "module" else [])]
    return tuple(f"{one.module or '(root)'} ({one.operation})" for one in found if one.kind == "module")


def _held_as_operand(parameter: Parameter) -> Operand:
    """A parameter as an operand of the failing call."""
    return Operand(parameter.name, parameter.shape, parameter.dims, parameter.dtype, parameter.name)


def _missing_rows(trace: Trace) -> Iterator[_Refusal]:
    """Stages that look up more rows than their table has, in order."""
    if not any(stage.operation == "arange" for stage in trace.stages):
        return
    parameters = {parameter.name: parameter for parameter in trace.parameters}
    for stage in trace.stages:
        if stage.operation == "Embedding" and stage.inputs:
            held = parameters.get(f"{stage.module}.weight" if stage.module else "weight")
            if held is not None:
                yield from _rows_looked_up(trace, stage, _held_as_operand(held), 0)
        elif stage.operation == "getitem" and len(stage.inputs) == 2 and stage.outputs:
            (given, asked), made = stage.inputs, stage.outputs[0].shape
            shape = given.shape  # the result shows the axis of `table[torch.arange(n)]`
            axes = [axis for axis in range(len(shape)) if (*shape[:axis], *asked.shape, *shape[axis + 1 :]) == made]
            same = next((one for one in trace.parameters if one.shape == shape), None)
            table = _held_as_operand(same) if same else replace(_as_operand(given), name="the table")
            for axis in axes[:1]:
                yield from _rows_looked_up(trace, stage, table, axis)


def _rows_looked_up(trace: Trace, stage: Stage, table: Operand, axis: int) -> Iterator[_Refusal]:
    """A lookup of more rows than a table has: an embedding, or a subscript of its axis."""
    by_layer, rows = stage.kind == "module", table.shape[axis]
    spec = stage.inputs[0 if by_layer else 1]
    count = _counted(trace, stage, spec, rows)
    if count is not None:
        index = replace(_as_operand(spec), name="input" if by_layer else "the index", extent=(0, count - 1))
        text = f"{table.name} has {rows} rows and is asked for {count}"
        call, operands = ("embedding", (index, table)) if by_layer else ("getitem", (table, index))
        arguments: dict[str, Value] = {} if by_layer else {"[1]": [*["::"] * axis, "tensor"]}
        yield _Refusal(stage, "index", text, "IndexError", call, operands, arguments)


def _counted(trace: Trace, stage: Stage, spec: TensorSpec, rows: int) -> int | None:
    """How many different values an index has, if arange made it and there are more of them than rows."""
    if spec.dtype not in WHOLE or not spec.shape or max(spec.shape) <= rows:
        return None
    before = stage.index
    while True:
        wanted, earlier = (spec.shape, spec.dtype), reversed(trace.stages[:before])
        made = next((one for one in earlier if wanted in [(made.shape, made.dtype) for made in one.outputs]), None)
        if made is None:
            return None
        if made.operation == "arange":
            return spec.shape[0] if spec.shape[0] > rows else None
        if made.operation not in MOVES or not made.inputs or made.inputs[0].dtype not in WHOLE:
            return None
        before, spec = made.index, made.inputs[0]
