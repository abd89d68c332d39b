"""Finds out-of-range lookups on the meta device, which has no values: an index that arange made needs as many rows.

`pos(torch.arange(n))` reads n different rows, so n rows are needed, wherever it starts. No torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.base.trace import Operand, Stage, TensorSpec, Trace, Value
from vit_trace.diagnose.refusal import Refusal, held_as_operand

MOVES = {"unsqueeze", "expand", "view", "reshape", "repeat", "flatten", "squeeze", "transpose", "expand_as", "to"}
MOVES |= {"long", "int", "type", "rearrange", "clone", "contiguous", "view_as"}
"""Operations that keep the values of an index."""

WHOLE = ("int64", "int32")


def missing_rows(trace: Trace) -> Iterator[Refusal]:
    """Stages that look up more rows than their table has, in order."""
    if not any(stage.operation == "arange" for stage in trace.stages):
        return
    parameters = {parameter.name: parameter for parameter in trace.parameters}
    for stage in trace.stages:
        if stage.operation == "Embedding" and stage.inputs:
            held = parameters.get(f"{stage.module}.weight" if stage.module else "weight")
            count = counted(trace, stage, stage.inputs[0], held.shape[0]) if held is not None else None
            if held is not None and count is not None:
                index = counted_index(stage, 0, count)
                yield refused_lookup(stage, held_as_operand(held), index, held.shape[0], {})
        elif stage.operation == "getitem" and len(stage.inputs) == 2 and stage.outputs:
            yield from subscripted(trace, stage)


def refused_lookup(stage: Stage, table: Operand, index: Operand, rows: int, arguments: dict[str, Value]) -> Refusal:
    """A lookup of more rows than a table has: an embedding, or a subscript that has `arguments`."""
    count = index.extent[1] + 1 if index.extent is not None else 0
    text = f"{table.name} has {rows} rows and is asked for {count}"
    call, operands = ("getitem", (table, index)) if arguments else ("embedding", (index, table))
    return Refusal(stage, "index", text, "IndexError", call, operands, arguments)


def subscripted(trace: Trace, stage: Stage) -> Iterator[Refusal]:
    """`table[torch.arange(n)]`, on the axis that the result shows."""
    given, asked = stage.inputs
    axes = [
        axis
        for axis in range(len(given.shape))
        if (*given.shape[:axis], *asked.shape, *given.shape[axis + 1 :]) == stage.outputs[0].shape
    ]
    if not axes:
        return
    rows = max(given.shape[axis] for axis in axes)
    count = counted(trace, stage, asked, rows)
    if count is None:
        return
    same = next((one for one in trace.parameters if one.shape == given.shape), None)
    table = held_as_operand(same) if same else Operand("the table", given.shape, given.dims, given.dtype)
    parts: list[Value] = [*["::" for _ in range(axes[0])], "tensor"]
    yield refused_lookup(stage, table, counted_index(stage, 1, count), rows, {"[1]": parts})


def counted_index(stage: Stage, place: int, count: int) -> Operand:
    """An index with `count` values from 0 on."""
    spec = stage.inputs[place]
    name = "input" if stage.kind == "module" else "the index"
    return Operand(name, spec.shape, spec.dims, spec.dtype, extent=(0, count - 1))


def counted(trace: Trace, stage: Stage, spec: TensorSpec, rows: int) -> int | None:
    """How many different values an index has, if arange made it and there are more of them than rows."""
    if spec.dtype not in WHOLE or not spec.shape or max(spec.shape) <= rows:
        return None
    before = stage.index
    while True:
        made = next(
            (one for one in reversed(trace.stages[:before]) if any(same(spec, given) for given in one.outputs)), None
        )
        if made is None:
            return None
        if made.operation == "arange":
            return spec.shape[0] if spec.shape[0] > rows else None
        if made.operation not in MOVES or not made.inputs or made.inputs[0].dtype not in WHOLE:
            return None
        before, spec = made.index, made.inputs[0]


def same(one: TensorSpec, two: TensorSpec) -> bool:
    return (one.shape, one.dtype) == (two.shape, two.dtype)
