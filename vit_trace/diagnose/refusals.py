"""Finds what a real run refuses and the meta device accepts: dtypes that differ, rows that a table does not have.

Works on a trace that ran; no torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from vit_trace.base.trace import Failure, Operand, Parameter, Stage, TensorSpec, Trace, Value
from vit_trace.diagnose.dtypes import CONTRACTIONS, FLOATS, dtype_clash

LAYERS = {"Linear": "linear", "Embedding": ""} | {f"Conv{n}d": f"conv{n}d" for n in (1, 2, 3)}
LAYERS |= {"LayerNorm": "layer_norm", "BatchNorm2d": "batch_norm", "GroupNorm": "group_norm"}


MOVES = {"unsqueeze", "expand", "view", "reshape", "repeat", "flatten", "squeeze", "transpose", "expand_as", "to"}
MOVES |= {"long", "int", "type", "rearrange", "clone", "contiguous", "view_as"}
"""Operations that keep the values of an index."""

WHOLE = ("int64", "int32")

NAMES = ("the tensor", "the index")


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
    """The trace; if a real run would refuse a stage, cut off with a failure at the first of them."""
    if trace.failure is not None or trace.target.device != "meta":
        return trace
    checks = (_clashes, _missing_rows, _other_channels, _other_indices)
    found = [one for check in checks if (one := next(check(trace), None)) is not None]
    return _cut_off(trace, min(found, key=lambda one: one.stage.index)) if found else trace


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


def _other_channels(trace: Trace) -> Iterator[_Refusal]:
    """Transposed convolutions that are given other channels than they were built for."""
    weights = {parameter.name: parameter for parameter in trace.parameters}
    for stage in trace.stages:
        digit = stage.operation.removeprefix("ConvTranspose").removesuffix("d")
        held = weights.get(f"{stage.module}.weight" if stage.module else "weight")
        if not stage.operation.startswith("ConvTranspose") or not digit.isdigit() or held is None or not stage.inputs:
            continue
        given = stage.inputs[0].shape
        if len(given) == int(digit) + 2 and len(held.shape) == len(given) and given[1] == held.shape[0]:
            continue
        text = f"{stage.module} was built for {held.shape[0]} channels"
        call, operands = f"conv_transpose{digit}d", (_as_operand(stage.inputs[0]), _held_as_operand(held))
        yield _Refusal(stage, "conv-channels", text, "RuntimeError", call, operands, {})


def _other_indices(trace: Trace) -> Iterator[_Refusal]:
    """index_select with an index of several axes."""
    for stage in trace.stages:
        if stage.operation != "index_select" or len(stage.inputs) < 2 or len(stage.inputs[1].shape) < 2:
            continue
        operands = tuple(replace(_as_operand(spec), name=name) for spec, name in zip(stage.inputs, NAMES, strict=False))
        text = "index_select takes an index with 1 axis"
        yield _Refusal(stage, "wrong-rank", text, "IndexError", "index_select", operands, {})


def _clashes(trace: Trace) -> Iterator[_Refusal]:
    """Stages whose operands' dtypes do not go together, in order."""
    made = {spec.dtype for stage in trace.stages for spec in stage.outputs}
    if len({parameter.dtype for parameter in trace.parameters} | made) < 2:
        return
    held: dict[str, list[Operand]] = {}
    for parameter in trace.parameters:
        path, _, name = parameter.name.rpartition(".")
        if name in ("weight", "bias"):
            held.setdefault(path, []).append(_held_as_operand(parameter))
    for stage in trace.stages:
        call = LAYERS.get(stage.operation, stage.operation)
        if not stage.inputs or not call:
            continue
        given = tuple(map(_as_operand, stage.inputs))
        if stage.kind == "module" and stage.operation in LAYERS:
            given = (*given[:1], *held.get(stage.module, ()))
        elif (
            stage.kind != "function"
            or call not in CONTRACTIONS
            or not any(operand.dtype in FLOATS for operand in given)
        ):
            continue
        text = dtype_clash(call, stage.module or stage.name, given)
        tensors = given[:3] if call == "scaled_dot_product_attention" else given  # a mask may have another dtype
        if text and (stage.kind == "module" or len({operand.dtype for operand in tensors}) > 1):
            yield _Refusal(stage, "dtype", text, "RuntimeError", call, given, {})


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
