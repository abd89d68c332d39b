"""forward was called with arguments that it does not take, or without some that it needs; a layer got a tuple of
tensors instead of one of them; a size is not a whole number (a / b, where a // b is meant).
"""

from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Turn, finds
from vit_trace.diagnose.scene import Scene

WRONG_CALL = CauseKind("wrong-call", __doc__)

SIZED = {"view", "reshape", "expand", "repeat", "split", "chunk", "unflatten", "zeros", "empty", "ones", "arange"}
"""Functions that take sizes."""

MOST_SHAPES = 4
"""Tensors of a tuple whose shapes are named; the rest is left out."""


@finds(turn=Turn.FIRST)
def other_arguments(scene: Scene) -> Cause | None:
    """`model(x, mask)` where forward takes x alone."""
    kind, _, said = scene.failure.exception.partition(": ")
    if scene.stage is None or not kind.startswith("TypeError") or "forward()" not in said:
        return None
    return Cause(WRONG_CALL, " ".join(said.split()))


@finds("forward")
def not_a_tensor(scene: Scene) -> Cause | None:
    """A layer that gets a tuple: the output of a layer that gives several tensors, passed on as it is."""
    given = scene.argument("given")
    if given is None:
        return None
    if given == "NoneType":
        return Cause(WRONG_CALL, f"{scene.layer} takes a tensor and is given None")
    inside = [operand for operand in scene.operands if not operand.parameter]
    shapes = ", ".join(shape_text(operand.shape) for operand in inside[:MOST_SHAPES])
    which = f" {given}" if isinstance(given, str) and given else ""
    text = f"{scene.layer} takes a tensor and is given a{which} of {len(inside)}: {shapes}"
    note = "the layer before it gives several tensors: pass on the one that is meant, as in [0]"
    if len(inside) == 1:
        note = "it holds one tensor: pass on that tensor itself"
    return Cause(WRONG_CALL, text, (note,) if inside else ())


@finds(*SIZED, turn=Turn.FIRST)
def size_is_a_float(scene: Scene) -> Cause | None:
    """`x.view(b, n, c / heads)`."""
    values = [value for name, value in scene.failure.arguments.items() if name != "[0]"]
    sizes = [one for value in values for one in (value if isinstance(value, list) else [value])]
    odd = next((one for one in sizes if type(one) is float), None)
    if odd is None:
        return None
    text = f"{scene.call} takes whole numbers and is given {odd}: a / b is a float, a // b is whole"
    return Cause(WRONG_CALL, text)
