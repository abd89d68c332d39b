"""Counts FLOPs and bytes of a saved trace at other values of its symbols, from the shapes there. No torch.

Each rule must give what was recorded at the recorded values; what no rule gives is not known at others.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import TypeVar

from vit_trace.base.trace import Parameter, Stage

Shape = tuple[int, ...]

Size = TypeVar("Size")
"""A size as a number, or as what it is computed from."""

NOT_KNOWN = -1
"""The count of a stage whose FLOPs no rule gives."""

BYTES = {
    "complex128": 16,
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 8),
    **dict.fromkeys(("float32", "int32", "uint32", "complex32"), 4),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 2),
}
"""Bytes of a value by its dtype; 1 for those of 8 bits."""


def flops_at(before: Stage, after: Stage, weights: Sequence[Mapping[str, Shape]]) -> int:
    """FLOPs of a stage at other values; NOT_KNOWN where no rule gives the recorded ones or a size is not known.

    `weights` are the shapes of parameters by name, recorded and at the other values.
    """
    if not before.flops:
        return 0
    then, now = (_counts(stage, shapes) for stage, shapes in zip((before, after), weights, strict=True))
    found = [new for old, new in zip(then, now, strict=False) if old == before.flops]
    return found[0] if found and len({*found}) == 1 and found[0] > 0 else NOT_KNOWN


def bytes_of(parameters: Sequence[Parameter]) -> int:
    return sum(prod(one.shape) * BYTES.get(one.dtype, 1) for one in parameters)


def flop_rules(stage: Stage, held: Mapping[str, Shape]) -> list[int]:
    """The places of the rules that give the FLOPs of a stage, among those of `flop_factors`."""
    return [place for place, count in enumerate(_counts(stage, held)) if count == stage.flops]


def weight_of(stage: Stage, shapes: Sequence[Sequence[Size]], held: Mapping[str, Sequence[Size]]) -> Sequence[Size]:
    """The shape of what a stage weighs its input with: of its second input, or of its module's weight."""
    return shapes[1] if len(stage.inputs) > 1 else held.get(f"{stage.module}.weight".lstrip("."), ())


def flop_factors(
    stage: Stage, shapes: Sequence[Sequence[Size]], weight: Sequence[Size]
) -> Iterator[tuple[Size | tuple[Size, Size], ...]]:
    """What each rule for an operation multiplies beside 2, in one order at all values: sizes, or sums of two.

    `shapes` are those of its inputs and of its first output, `weight` that of what it weighs them with.
    """
    name, first, out = stage.operation.lower(), shapes[0], shapes[-1]
    if "attention" in name and len(stage.inputs) > 2:
        query, key, value = shapes[:3]
        yield *query[:-1], key[-2], (query[-1], value[-1])
    elif "conv" in name and len(weight) > 2:
        places = first if "transpose" in name else out
        batch = places[:1] if len(places) == len(weight) else ()
        yield *weight, *places[2 - len(weight) :], *batch
    elif "einsum" in name:
        yield from ((*out, size) for shape in shapes[:-1] for size in shape)
    else:
        left = shapes[1 if "add" in name or "rmatmul" in name else 0]
        yield from ((*out, size) for size in left[-1:])


def _counts(stage: Stage, held: Mapping[str, Shape]) -> Iterator[int]:
    """What the rules for its operation give; NOT_KNOWN where a size is not known."""
    shapes = [one.shape for one in (*stage.inputs, *stage.outputs[:1])]
    weight = weight_of(stage, shapes, held)
    if len(shapes) < 2 or min((min(shape, default=0) for shape in (*shapes, weight)), default=0) < 0:
        yield NOT_KNOWN
        return
    for factors in flop_factors(stage, shapes, weight):
        yield 2 * prod(sum(one) if isinstance(one, tuple) else one for one in factors)
