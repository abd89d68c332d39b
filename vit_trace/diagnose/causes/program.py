"""Recognises inputs that a traced, exported or scripted program was not made for: it keeps sizes as numbers."""

from collections.abc import Iterator, Sequence

from vit_trace.base.trace import Operand, Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, Turn, finds
from vit_trace.diagnose.changes.inputs import first_input, resized_images
from vit_trace.diagnose.changes.records import Fix, InputChange
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.scene import Scene, Side, axes_text, side

MOST_AXES = 3
"""Axes that do not fit that are named; the rest is left out."""

Extents = list[list[int | None]]
"""The lowest and the highest size of each axis."""


def _own_input(question: Question) -> Iterator[Fix]:
    """The input in the sizes that the program takes; sizes that fit stay."""
    scene = question.scene
    if scene.argument("module") or not scene.operands:
        return
    for place, (operand, extents) in enumerate(zip(scene.operands, _extents(scene), strict=False)):
        if len(operand.shape) != len(extents):
            continue
        pairs = zip(extents, operand.shape, strict=True)
        wanted = tuple(max(low or 0, size if high is None else min(size, high)) for (low, high), size in pairs)
        if wanted == operand.shape:
            continue
        if place:
            yield InputChange(f"{operand.name} of {shape_text(wanted)}", shape=wanted, name=operand.name, place=place)
        elif len(wanted) == len(operand.shape) == 4 and wanted[0] == operand.shape[0]:
            yield from resized_images(first_input(scene), wanted[1], *wanted[2:])
        else:
            yield InputChange.sized(wanted)


FIXED_SIZES = CauseKind(
    "fixed-sizes",
    """The model is a program that was exported or traced with one input, and its sizes stay in it as numbers.
    Example: exported for 1×3×56×56, given 1×3×84×84.
    Give it the sizes that it was made for. For others it has to be captured again: by torch.export with
    dynamic_shapes, from code that keeps sizes symbolic: int(x.shape[2]) makes a number of one.
    """,
    (_own_input, *usual()),
    any_batch=False,
)

TORCHSCRIPT = CauseKind(
    "torchscript-failed",
    """A program of TorchScript raised. Its steps run outside of Python and cannot be recorded; the sizes that it was
    traced with, if it was, are not saved with it. Trace the model that it was made of to see the failing step.
    """,
)


@finds("program", turn=Turn.FIRST)
def other_sizes_than_captured(scene: Scene) -> Cause | None:
    """An exported program at another size; one of torch.jit.trace; a scripted one, whatever it raised."""
    how, extents = str(scene.argument("how")), _extents(scene)
    name = str(scene.argument("module") or "") or "the model"
    for operand, one in zip(scene.operands, extents, strict=False):
        unlike = _unlike(operand.shape, one)
        if not unlike and len(one) == len(operand.shape):
            continue
        made_for = f"{name} was {how} for {'×'.join(map(_extent_text, one))}"
        if len(one) != len(operand.shape):
            return Cause(FIXED_SIZES, f"{made_for}: {axes_text(len(one))}, {_with_count(operand)}", _ways_out(how))
        given = (
            f"; {_said(operand, one, unlike)}" if how == "exported" else f" and is given {shape_text(operand.shape)}"
        )
        sides = _sides(scene, operand, one, unlike)
        return Cause(FIXED_SIZES, made_for + given, _ways_out(how), sides=sides)
    if extents:
        return None
    shapes = ", ".join(shape_text(operand.shape) for operand in scene.operands)
    text = f"{name} is a TorchScript program and refuses {shapes or 'its input'}"
    note = "its steps run outside of Python: trace the model that it was made of to see the one that fails"
    return Cause(TORCHSCRIPT, text, (note, "if it was traced, the sizes of its example input stay in it as numbers"))


def _extents(scene: Scene) -> Sequence[Extents]:
    held: Value = scene.argument("extents")
    return held if isinstance(held, list) else []


def _unlike(shape: Sequence[int], extents: Extents) -> list[int]:
    """The axes whose sizes do not fit."""
    pairs = enumerate(zip(shape, extents, strict=False))
    return [at for at, (size, (low, high)) in pairs if not (low or 0) <= size <= (size if high is None else high)]


def _extent_text(extent: Sequence[int | None]) -> str:
    low, high = extent
    if low == high:
        return str(low)
    return "any" if high is None else f"({low}…{high})"


def _said(operand: Operand, extents: Extents, unlike: Sequence[int]) -> str:
    """axis 2 is fixed at 56, x has 84"""
    parts = []
    for axis in unlike[:MOST_AXES]:
        low, high = extents[axis]
        takes = f"is fixed at {low}" if low == high else f"takes {low} to {high}" if high else f"takes {low} or more"
        parts.append(f"axis {axis} {takes}, {operand.name} has {operand.shape[axis]}")
    return "; ".join(parts)


def _with_count(operand: Operand) -> str:
    return f"{operand.name} {shape_text(operand.shape)} has {len(operand.shape)}"


def _sides(scene: Scene, operand: Operand, extents: Extents, unlike: Sequence[int]) -> tuple[Side, ...]:
    """The first size that does not fit, and the one that the program takes."""
    if not scene.argument("module"):
        return ()
    low, high = extents[unlike[0]]
    wanted = low if high is None or operand.shape[unlike[0]] < (low or 0) else high
    return side(operand, unlike[0]), Side(None, None, wanted or 0, "the program")


def _ways_out(how: str) -> tuple[str, ...]:
    """What makes a program that takes other sizes."""
    if how == "exported":
        return (
            "for other sizes it has to be exported with dynamic sizes: torch.export.export(…, dynamic_shapes=…)",
            "the code has to keep these sizes symbolic: int(x.shape[2]) makes a fixed number of one",
        )
    return (
        "torch.jit.trace records the steps of one example: sizes that the code turns into numbers stay as they were",
        "for other sizes keep them symbolic (no int() of x.shape), or export it with dynamic_shapes",
    )
