"""What the model's own code says: an unpacking that does not fit, an assertion, a wrong call, anything else."""

from __future__ import annotations

import re

from vit_trace.base.trace import Stage
from vit_trace.base.words import shape_text
from vit_trace.diagnose.causes.lookups import made_by
from vit_trace.diagnose.scene import Cause, Scene, axes_text, called, mentions, side, whole_lines

SIZED = {"view", "reshape", "expand", "repeat", "split", "chunk", "unflatten", "zeros", "empty", "ones", "arange"}
PARTS = {"chunk", "split", "unbind", "split_with_sizes", "tensor_split"}
MOST_NUMBERS = 8
LONGEST = 60
"""Characters of an assignment's right side that a sentence can hold."""


def unpacked(scene: Scene) -> Cause | None:
    """`b, c, h, w = x.shape`, `q, k, v = x.chunk(3)`."""
    if scene.call != "unpack" or "names" not in scene.failure.arguments:  # einops has an unpack too
        return None
    count = scene.integer("names", default=0)
    value, targets = str(scene.argument("value") or ""), str(scene.argument("targets") or "")
    given, number = scene.argument("count"), scene.argument("number")
    whole = f"`{targets} = {value}`" if len(value) <= LONGEST and value else f"`{targets or 'an assignment'}`"
    shaped = re.match(r"(.*)\.(?:shape|size\(\))(\[\d+:\])?$", value)
    tensor = next((operand for operand in scene.operands if shaped and operand.name == shaped[1]), None)
    if shaped and tensor is not None and type(given) is int:
        rank = count + len(tensor.shape) - given
        text = f"{whole} needs {axes_text(rank)}, {shaped[1]} {shape_text(tensor.shape)} has {len(tensor.shape)}"
        return Cause("wrong-rank", text, rank=rank)
    if number is not None:
        return Cause("unpack", f"{whole} needs {count} values, the right side is one number, {number}")
    source = str(scene.argument("source") or value)
    stage = next(made_by(scene, source), None)
    if stage is not None and stage.inputs and len(stage.outputs) != count and given in (None, len(stage.outputs)):
        many = f"{len(stage.outputs)} part{'s' * (len(stage.outputs) != 1)}"
        given_shape = f"{shape_text(stage.inputs[0].shape)}{along(stage)}"
        text = f"{stage.operation} of {given_shape} gave {many}, `{targets}` needs {count}"
        return Cause("chunk" if stage.operation in PARTS else "unpack", text)
    tensor = next((operand for operand in scene.operands if operand.name == value and operand.shape), None)
    if tensor is not None:
        text = f"{whole} takes {value} {shape_text(tensor.shape)} apart along axis 0: "
        return Cause("unpack", f"{text}{tensor.shape[0]} parts, {count} are needed", sides=(side(tensor, 0),))
    more = "more" if scene.failure.exception.startswith("ValueError: too many") else "fewer"
    there = f"has {given}" if type(given) is int else f"has {more}"
    side_of = "the right side" if source == value or len(source) > LONGEST else source
    return Cause("unpack", f"{whole} needs {count} values, {side_of} {there}")


def along(stage: Stage) -> str:
    """ " along axis 1": the one that a chunk or split has taken apart."""
    if stage.operation not in PARTS or not stage.inputs or not stage.outputs:
        return ""
    whole, part = stage.inputs[0].shape, stage.outputs[0].shape
    if len(whole) != len(part):
        return ""
    axes = [axis for axis, (one, two) in enumerate(zip(whole, part, strict=True)) if one != two]
    return f" along axis {axes[0]}" if len(axes) == 1 else ""


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
    spoken = [name for name in values if mentions(line, name)]
    names = spoken or [name for name in values if name.startswith("self.")] or list(values)[:MOST_NUMBERS]
    texts = [f"{name} = {values[name]}" for name in names[:MOST_NUMBERS]]
    shapes = [f"{called(operand)} {shape_text(operand.shape)}" for operand in scene.operands[:3]]
    return (f"with {', '.join([*shapes, *texts])}",) if texts or shapes else ()


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


def not_a_tensor(scene: Scene) -> Cause | None:
    """A layer that is given a tuple: the output of a layer that gives several tensors, handed on as it is."""
    given = scene.argument("given")
    if scene.call != "forward" or given is None:
        return None
    if given == "NoneType":
        return Cause("wrong-call", f"{scene.layer} takes a tensor and is given None")
    inside = [operand for operand in scene.operands if not operand.parameter]
    shapes = ", ".join(shape_text(operand.shape) for operand in inside[:4])
    which = f" {given}" if isinstance(given, str) and given else ""
    text = f"{scene.layer} takes a tensor and is given a{which} of {len(inside)}: {shapes}"
    note = "the layer before it gives several tensors: take the one that is meant, as in [0]"
    if len(inside) == 1:
        note = "it holds one tensor: hand that over itself"
    return Cause("wrong-call", text, (note,) if inside else ())


def float_sizes(scene: Scene) -> Cause | None:
    """`x.view(b, n, c / heads)`: a size that is no whole number."""
    if scene.call not in SIZED:
        return None
    numbers = [value for name, value in scene.failure.arguments.items() if name != "[0]"]
    flat = [one for value in numbers for one in (value if isinstance(value, list) else [value])]
    odd = next((one for one in flat if type(one) is float), None)
    if odd is None:
        return None
    return Cause(
        "wrong-call", f"{scene.call} takes whole numbers and is given {odd}: a / b is a float, a // b is whole"
    )


def unknown(scene: Scene) -> Cause:
    """No cause is known: what failed, with its shapes."""
    kind, _, said = scene.failure.exception.partition(": ")
    shapes = ", ".join(f"{called(operand)} {shape_text(operand.shape)}" for operand in scene.operands[:4])
    if kind == "RecursionError":
        return Cause("forward-failed", f"{scene.name} calls itself without end", numbers(scene))
    known = scene.call not in ("", "?", "raise", "subscript")
    first = " ".join(said.split())[:200]
    text = f"{scene.call if known else scene.name} raised {kind}"
    if known:
        return Cause("forward-failed", text + (f" on {shapes}" if shapes else ""), (first,) if first else ())
    short = first if len(first) <= LONGEST else ""
    notes = () if short else (first,)
    return Cause("forward-failed", f"{text}: {short}" if short else text, (*filter(None, notes), *numbers(scene)))
