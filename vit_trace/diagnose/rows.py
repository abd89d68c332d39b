"""Tables that are asked for more rows than they have, known without values: by an index that an arange counts out.

`pos(torch.arange(n))` reads n different rows, so n rows are needed, wherever it starts. No torch.
"""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.base.trace import Operand, Stage, TensorSpec, Trace, Value
from vit_trace.diagnose.refusal import Refusal, held_as_operand

MOVES = {"unsqueeze", "expand", "view", "reshape", "repeat", "flatten", "squeeze", "transpose", "expand_as", "to"}
MOVES |= {"long", "int", "type", "rearrange", "clone", "contiguous", "view_as"}
"""Steps after which the same numbers are there."""

WHOLE = ("int64", "int32")


def missing_rows(trace: Trace) -> Iterator[Refusal]:
    """The stages that look up more rows than their table has, in order."""
    if not any(stage.operation == "arange" for stage in trace.stages):
        return
    parameters = {parameter.name: parameter for parameter in trace.parameters}
    for stage in trace.stages:
        if stage.operation == "Embedding" and stage.inputs:
            held = parameters.get(f"{stage.module}.weight" if stage.module else "weight")
            count = counted(trace, stage, stage.inputs[0], held.shape[0]) if held is not None else None
            if held is not None and count is not None:
                operands = (index(stage, 0, count), held_as_operand(held))
                yield refusal(stage, "embedding", held.name, held.shape[0], count, operands, {})
        elif stage.operation == "getitem" and len(stage.inputs) == 2 and stage.outputs:
            yield from subscripted(trace, stage)


def refusal(
    stage: Stage,
    call: str,
    table: str,
    rows: int,
    count: int,
    operands: tuple[Operand, ...],
    arguments: dict[str, Value],
) -> Refusal:
    text = f"{table} has {rows} rows and is asked for {count}"
    return Refusal(stage, "index", text, "IndexError", call, operands, arguments)


def subscripted(trace: Trace, stage: Stage) -> Iterator[Refusal]:
    """`table[torch.arange(n)]`, on whatever axis the result says that it was."""
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
    yield refusal(stage, "getitem", table.name, rows, count, (table, index(stage, 1, count)), {"[1]": parts})


def index(stage: Stage, place: int, count: int) -> Operand:
    spec = stage.inputs[place]
    return Operand(
        "input" if stage.kind == "module" else "the index", spec.shape, spec.dims, spec.dtype, extent=(0, count - 1)
    )


def counted(trace: Trace, stage: Stage, spec: TensorSpec, rows: int) -> int | None:
    """How many different numbers an index holds, where an arange made it and they are more than the rows."""
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
