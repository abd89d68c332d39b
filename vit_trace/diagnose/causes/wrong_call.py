"""forward was called with arguments that it does not take, or without some that it needs; a layer got a tuple of
tensors instead of one of them; a size is not a whole number (a / b, where a // b is meant).
"""

import re
from collections.abc import Iterator

from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, Turn, finds
from vit_trace.diagnose.changes.calls import call_changed, input_written
from vit_trace.diagnose.changes.records import ALONE, Fix, LayerInput
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
    takes = scene.argument("signature")
    return Cause(WRONG_CALL, " ".join(said.split()), (f"it takes {takes}",) if takes else ())


def _one_of_them(question: Question) -> Iterator[Fix]:
    """Each of the tensors of the container in its place: model(x)[0] instead of model(x)."""
    scene, stage, held = question.scene, question.scene.stage, question.scene.argument("held")
    start, stop = held if isinstance(held, list) else (0, 0)
    layer = stage is not None and stage.kind == "module"
    for place in range(start, min(stop, start + MOST_SHAPES)):
        name, whole = _written(scene, place, start)
        text = f"{name} instead of {whole}" if whole else f"{name} of what {scene.layer} is given"
        if layer and stage is not None:
            yield LayerInput(text, (stage.module,), ALONE, place)
        else:
            yield from call_changed(scene, text, operand=place, steps=ALONE)


def _written(scene: Scene, place: int, start: int) -> tuple[str, str]:
    """A tensor of the container, and the container, as the line writes them; [0] and "" where it does not."""
    operand, whole = scene.operands[place], input_written(scene)
    found = re.search(r"(\.\w+|\[[^][]*\])$", operand.name)
    if found is None:
        return f"{whole}[{place - start}]", whole
    if not whole and operand.span is None and operand.name[: found.start()] not in ("input", "x"):  # torch's own names
        whole = operand.name[: found.start()]
    return f"{whole}{found[0]}", whole


@finds(turn=Turn.FIRST, edits=[_one_of_them])
def not_a_tensor(scene: Scene) -> Cause | None:
    """A call that gets a tuple: the output of a layer that gives several tensors, passed on as it is."""
    given, held = scene.argument("given"), scene.argument("held")
    if not isinstance(given, str):
        return None
    if given == "NoneType":
        return Cause(WRONG_CALL, f"{scene.layer} takes a tensor and is given None")
    inside = [one for one in scene.operands[slice(*held) if isinstance(held, list) else slice(0)] if not one.parameter]
    shapes = ", ".join(shape_text(operand.shape) for operand in inside[:MOST_SHAPES])
    a = "an" if given[0] in "AEIOU" else "a"
    text = f"{scene.layer} takes a tensor and is given {a} {given} of {len(inside)}: {shapes}"
    note = "what made it gives several tensors: pass on the one that is meant"
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
