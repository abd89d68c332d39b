"""Explains why a forward failed: the cause in words, who made the sizes that disagree, changes that work.

Works on shapes, formulas and sources; what it tries, `trials` tries.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import chain
from math import prod

from msgspec.structs import replace

from vit_trace.base import network
from vit_trace.base.trace import Failure, Label, Operand, Producer, Stage, TensorSpec, Trace
from vit_trace.base.words import exception_text, shape_text
from vit_trace.diagnose.cause import Cause, Question
from vit_trace.diagnose.causes import cause_of
from vit_trace.diagnose.changes.records import InputChange
from vit_trace.diagnose.layout import layout_cause
from vit_trace.diagnose.naming import formula_of, said
from vit_trace.diagnose.producers import producer, siblings
from vit_trace.diagnose.remedies import partway, remedies
from vit_trace.diagnose.scene import Scene, Shape, Side
from vit_trace.diagnose.trials import Case
from vit_trace.probing.by_image import named_by_image
from vit_trace.record.raised.failure import DEFECT


def explained(trace: Trace, case: Case) -> Trace:
    """The trace with cause, producers and remedies of its failure; without a failure as it is."""
    if trace.failure is None or trace.failure.code in (DEFECT, network.CODE):
        return trace
    again = case.again(trace)
    named, endless = trace, Scene(trace, trace.failure).raised[0] == "RecursionError"
    if not trace.symbols and not endless:  # what calls itself does so at any size
        named = named_by_image(trace, lambda shape: case.trial(InputChange.sized(shape)))
    failure = replace(trace.failure, operands=tuple(_named_operands(Scene(named, trace.failure))))
    scene = Scene(named, failure, again.sources)
    cause = dataclasses.replace(cause_of(scene), by_value=not again.fails)
    producers = tuple(made for side in cause.sides if (made := producer(scene, side, again.sources)) is not None)
    question = Question(scene, cause, producers, case)
    tried = remedies(question)
    help = tuple(one.help() for one in tried)
    if not tried and (further := partway(question)):
        help = (further,)
    shortfall = case.shortfall()
    cause = layout_cause(scene, cause, tried, case)
    own_words = _own_words(scene, cause.message)
    notes = (*_side_notes(scene, cause, producers), *cause.notes, *_stack_note(scene), *own_words, *shortfall)
    failure = replace(
        scene.failure,
        code=cause.code,
        message=cause.message,
        notes=tuple(dict.fromkeys(notes)),
        help=help,
        labels=_labels(scene.failure),
        producers=producers,
        remedies=tuple(one.remedy() for one in tried),
    )
    return replace(trace, failure=failure)


def _named_operands(scene: Scene) -> Iterator[Operand]:
    """The operands with the formulas that their stage and the parameters got."""
    specs = scene.stage.inputs if scene.stage is not None else ()
    for place, operand in enumerate(scene.operands):
        held = scene.parameters.get(operand.parameter)
        if held is not None and len(held.shape) < len(operand.shape) and prod(held.shape) < prod(operand.shape):
            operand, held = replace(operand, parameter=""), None  # it was given axes and expanded
        alike = (spec.dims for spec in (*specs[place : place + 1], *specs) if spec.shape == operand.shape)
        dims = next(alike, operand.dims)
        if held is not None and len(held.shape) == len(operand.shape):  # a slice: axes that it takes whole
            sizes = zip(held.dims, held.shape, operand.shape, dims, strict=True)
            dims = tuple(named if whole == size else dim for named, whole, size, dim in sizes)
        yield replace(operand, dims=dims)


def _side_notes(scene: Scene, cause: Cause, producers: Sequence[Producer]) -> list[str]:
    """Each size: what it is, who made it; and what the other blocks have."""
    notes = []
    for side in cause.sides[:3]:
        made = next((one for one in producers if one.operand == side.name and one.size == side.size), None)
        words = said(scene.trace, side)
        origin = _maker_text(scene, side, made)
        if words or origin:
            notes.append(f"{words or side.size}{(', ' if words else ' ') + origin if origin else ''}")
        notes += _sliced(scene, side)
    if len(cause.sides) == 2:
        notes += _witness(scene, cause.sides, producers)
    return notes


def _sliced(scene: Scene, side: Side) -> list[str]:
    """pos_embed 1×17×24 has 17 there, 16 are taken."""
    operand, axis = side.operand, side.axis
    held = scene.parameters.get(operand.parameter) if operand is not None else None
    if operand is None or held is None or axis is None or len(held.shape) != len(operand.shape):
        return []
    differing = [at for at, (one, two) in enumerate(zip(held.shape, operand.shape, strict=True)) if one != two]
    if differing != [axis] or not held.shape[axis] > side.size > 1:
        return []
    return [f"{held.name} {shape_text(held.shape)} has {held.shape[axis]} there, {side.size} are taken"]


def _maker_text(scene: Scene, side: Side, made: Producer | None) -> str:
    """made by blocks.1.mlp.0 (Linear) 2×197×700; "" where the size is named well enough without."""
    if made is None:
        return ""
    if made.parameter:
        return _parameter_text(scene, side, made)
    stage = scene.trace.stages[made.stage] if made.stage is not None else None
    spec = _made_spec(stage, side) if stage is not None else None
    shape = shape_text(spec.shape) if spec is not None else ""
    if stage is None or (stage.kind == "input" and (formula_of(side) or not shape)):
        return ""
    if stage.kind == "input":
        axis = _input_axis(spec.shape, side) if spec is not None else None
        name = f"{stage.name}{spec.path if spec is not None else ''}"
        return f"comes from the input {name} {shape}{f' on axis {axis}' if axis is not None else ''}"
    named = stage.name.rpartition(".")[2] == stage.operation
    text = f"made by {stage.name}{'' if named else f' ({stage.operation})'} {shape}".rstrip()
    return text + _joined_text(stage, side)


def _joined_text(stage: Stage, side: Side) -> str:
    """, of 192 + 96: the parts that a cat makes a size of."""
    if stage.operation not in ("cat", "concat") or side.axis is None or len(stage.inputs) < 2:
        return ""
    parts = [part.shape[side.axis] for part in stage.inputs if side.axis < len(part.shape)]
    return f", of {' + '.join(map(str, parts))}" if sum(parts) == side.size else ""


def _parameter_text(scene: Scene, side: Side, made: Producer) -> str:
    """comes from the parameter pos_embed"""
    if side.operand is None or made.name != side.operand.parameter:
        return f"comes from the parameter {made.name}"
    held = scene.parameters.get(made.name)
    if held is None or side.name == made.name or formula_of(side):
        return ""
    return f"is the size of {held.name} {shape_text(held.shape)}"


def _made_spec(stage: Stage, side: Side) -> TensorSpec | None:
    """The tensor among a stage's outputs that a size comes from: an input may be a list or a mapping of several."""
    whole = (one for one in stage.outputs if side.operand is not None and one.shape == side.operand.shape)
    return next(chain(whole, (one for one in stage.outputs if side.size in one.shape), stage.outputs[:1]), None)


def _input_axis(shape: Shape, side: Side) -> int | None:
    """The axis of the input that a size comes from, which may have been moved since; None where several have it."""
    places = [axis for axis, size in enumerate(shape) if size == side.size]
    if len(places) == 1:
        return places[0]
    same = side.operand is not None and side.operand.shape == shape
    return side.axis if same and side.axis in places else None


def _witness(scene: Scene, sides: Sequence[Side], producers: Sequence[Producer]) -> list[str]:
    """blocks 0 and 2…11 have 768 there"""
    found = []
    for side in sides:
        name, axis = _weight_of(scene, side, producers)
        others = siblings(scene.parameters, name, axis) if name else None
        if others is None or others.common in (None, side.size):
            continue
        other = next(one for one in sides if one is not side)
        agree = f": they use {other.size} in both places" if others.common == other.size else ""
        path = name.rpartition(".")[0] or name
        found.append(f"{others.blocks} have {others.common} where {path} has {side.size}{agree}")
    return found


def _weight_of(scene: Scene, side: Side, producers: Sequence[Producer]) -> tuple[str, int]:
    """(parameter, axis) that decides a side's size."""
    if side.operand is not None and side.operand.parameter and side.axis is not None:
        return side.operand.parameter, side.axis
    for made in producers:
        if made.operand == side.name and made.size == side.size and made.stage is not None:
            stage = scene.trace.stages[made.stage]
            name = f"{stage.module}.weight"
            held = scene.parameters.get(name)
            if held is not None and held.shape and held.shape[0] == side.size:
                return name, 0
    return "", 0


def _stack_note(scene: Scene) -> list[str]:
    """in transformer (Transformer) › layers.1.mlp (MLP): below the root, each path relative to the one before."""
    found, before = [], ""
    for entry in scene.failure.modules:
        if not entry.startswith("(root)"):
            path, _, kind = entry.partition(" ")
            found.append(f"{path.removeprefix(f'{before}.')} {kind}")
            before = path
    return [f"in {' › '.join(found)}"] if found else []


def _own_words(scene: Scene, headline: str) -> list[str]:
    """What torch or Python said, word for word; nothing where the headline says just that."""
    said = " ".join(scene.raised[1].split())
    return [] if said in headline else [exception_text(*scene.raised)]


def _labels(failure: Failure) -> tuple[Label, ...]:
    """Each operand's shape under its expression, where all is on one line."""
    if failure.span is None or failure.span.line != failure.span.end_line:
        return ()
    return tuple(
        Label(operand.span, shape_text(operand.shape))
        for operand in failure.operands
        if operand.span is not None and (operand.span.file, operand.span.line) == (failure.span.file, failure.span.line)
    )
