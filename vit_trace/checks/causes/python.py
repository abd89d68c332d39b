"""What the model's own code says: an unpacking that does not fit, an assertion, a wrong call, anything else."""

from __future__ import annotations

import linecache
import re

from vit_trace.checks.scene import Cause, Scene, axes_text, called, shape_text
from vit_trace.tracing.schema import Source, Stage

PARTS = {"chunk", "split", "unbind", "split_with_sizes", "tensor_split"}
MOST_NUMBERS = 8


def unpacked(scene: Scene) -> Cause | None:
    """`b, c, h, w = x.shape`, `q, k, v = x.chunk(3)`."""
    if scene.call != "unpack":
        return None
    count = scene.integer("names", default=0)
    value, targets = str(scene.argument("value") or ""), str(scene.argument("targets") or "")
    if re.search(r"\.(shape|size\(\))$", value):
        base = value.removesuffix(".shape").removesuffix(".size()")
        tensor = next((operand for operand in scene.operands if operand.name == base), None)
        if tensor is not None:
            text = f"`{targets} = {value}` needs {axes_text(count)}, {base} {shape_text(tensor.shape)} has "
            return Cause("wrong-rank", text + str(len(tensor.shape)), rank=count)
    stage = last_parts(scene)
    if stage is not None and stage.inputs and len(stage.outputs) != count:
        given = stage.inputs[0]
        text = (
            f"{stage.operation} of {shape_text(given.shape)} gave {len(stage.outputs)} parts, `{targets}` needs {count}"
        )
        return Cause("chunk", text)
    return Cause("unpack", f"`{targets or 'an assignment'}` needs {count} values, the right side has another number")


def last_parts(scene: Scene) -> Stage | None:
    return next((stage for stage in reversed(scene.trace.stages) if stage.operation in PARTS), None)


def assertion(scene: Scene) -> Cause | None:
    """A `raise` or `assert` of the model's own: its text, and the numbers around it."""
    if scene.call != "raise":
        return None
    kind, _, said = scene.failure.exception.partition(": ")
    if kind in ("SystemExit", "KeyboardInterrupt"):
        return None
    text = " ".join(said.split())
    notes = numbers(scene)
    return Cause("assertion", text or f"{scene.name} raises {kind}", notes)


def numbers(scene: Scene) -> tuple[str, ...]:
    """The numbers of the raising frame that its line speaks of, else the first few."""
    values = scene.failure.values
    line = whole_lines(scene.failure.span) if scene.failure.span else ""
    spoken = [name for name in values if re.search(rf"(?<![\w.]){re.escape(name)}\b", line)]
    names = spoken or [name for name in values if name.startswith("self.")] or list(values)[:MOST_NUMBERS]
    texts = [f"{name} = {values[name]}" for name in names[:MOST_NUMBERS]]
    shapes = [f"{called(operand)} {shape_text(operand.shape)}" for operand in scene.operands[:3]]
    return (f"with {', '.join([*shapes, *texts])}",) if texts or shapes else ()


def whole_lines(span: Source) -> str:
    """The source lines of a span, as far as they can be read."""
    lines = [linecache.getline(span.file, number) for number in range(span.line, span.end_line + 1)]
    return "".join(lines) or span.text


def wrong_call(scene: Scene) -> Cause | None:
    """forward was called with arguments that it does not take."""
    stage = scene.stage
    if (
        stage is None
        or not scene.failure.exception.startswith("TypeError")
        or "forward()" not in scene.failure.exception
    ):
        return None
    text = scene.failure.exception.partition(": ")[2]
    return Cause("wrong-call", " ".join(text.split()))


def unknown(scene: Scene) -> Cause:
    """No cause is known: what failed, with its shapes."""
    kind, _, said = scene.failure.exception.partition(": ")
    shapes = ", ".join(f"{called(operand)} {shape_text(operand.shape)}" for operand in scene.operands[:4])
    what = scene.call if scene.call not in ("", "?", "raise") else scene.name
    first = " ".join(said.split())[:200]
    notes = numbers(scene) if scene.call in ("", "raise") else ()
    text = f"{what} raised {kind}" + (f" on {shapes}" if shapes and scene.call else "")
    return Cause("forward-failed", text, tuple(filter(None, (first, *notes))))
