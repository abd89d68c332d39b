"""A normalisation was built for another width (LayerNorm, RMSNorm) or other channels (BatchNorm, GroupNorm) than its
input has, or its groups do not divide the channels.
"""

from collections.abc import Iterator

from vit_trace.base.trace import Operand
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.causes.wrong_rank import WRONG_RANK
from vit_trace.diagnose.changes.calls import features_moved, input_written
from vit_trace.diagnose.changes.inputs import input_width, swapped_axes, usual_channels
from vit_trace.diagnose.changes.parameters import LIKEWISE, other_blocks, resized
from vit_trace.diagnose.changes.records import Fix, LayerInput, Method, methods_text
from vit_trace.diagnose.changes.usual import usual
from vit_trace.diagnose.dtypes import NORMS
from vit_trace.diagnose.scene import Scene, Side, axes_text, axis_note, name_in_layer, side


def _normalised(scene: Scene) -> Operand | None:
    """The input of the norm, also where torch refuses it before any function is called."""
    x = scene.tensor(0)
    if x is None and scene.stage is not None and scene.stage.inputs:
        spec = scene.stage.inputs[0]
        x = Operand("input", spec.shape, spec.dims, spec.dtype)
    return x


def _resized_norm(question: Question) -> Iterator[Fix]:
    """The norm in another size, unless its features are another axis of its input: then it is right as it is."""
    x, sides = _normalised(question.scene), question.cause.sides
    if x is None or len(sides) != 2 or sides[1].size not in x.shape[1:]:
        yield from resized(question)


def _axes_moved(question: Question) -> Iterator[Fix]:
    """The channels moved to the axis that the norm takes, and back behind it."""
    scene, x = question.scene, _normalised(question.scene)
    stage, sides = scene.stage, question.cause.sides
    if x is None or len(sides) != 2 or stage is None or stage.kind != "module" or not stage.module:
        return
    axes, wanted = len(x.shape), sides[1].size
    last = scene.call in ("layer_norm", "rms_norm")
    if axes < 3 or x.shape[1 if last else -1] != wanted:
        return
    forth = (0, *range(2, axes), 1) if last else (0, axes - 1, *range(1, axes - 1))
    back = (0, axes - 1, *range(1, axes - 1)) if last else (0, *range(2, axes), 1)
    steps: list[Method] = [("transpose", 1, 2)] * 2 if axes == 3 else [("permute", *forth), ("permute", *back)]
    paths, given = (stage.module, *other_blocks(scene, stage.module)), input_written(scene)
    name = f"self.{stage.module.rpartition('.')[2]}" if given else stage.module
    into, out = methods_text(steps[:1]), methods_text(steps[1:])
    text = f"{name}({given or 'x'}{into}){out} instead of {name}({given or 'x'})"
    yield LayerInput(text, paths[:1], (steps[0],), back=(steps[1],))
    if paths[1:]:
        yield LayerInput(f"{text}{LIKEWISE}", paths, (steps[0],), back=(steps[1],))


NORM_SIZE = CauseKind(
    "norm-size",
    __doc__,
    usual(sizes=(usual_channels,), parameters=_resized_norm, last=(swapped_axes, input_width)),
)


@finds(*NORMS, edits=[_axes_moved, features_moved])
def other_width_or_channels(scene: Scene) -> Cause | None:
    """layer_norm's last sizes, the channels of batch_norm and group_norm."""
    x = _normalised(scene)
    if x is None:
        return None
    if not x.shape:
        return Cause(WRONG_RANK, f"{scene.layer} gets a single number, which has no axis to normalise", rank=1)
    return (_other_width if scene.call in ("layer_norm", "rms_norm") else _other_channels_normalised)(scene, x)


def _other_width(scene: Scene, x: Operand) -> Cause | None:
    """layer_norm and rms_norm: the sizes at the end."""
    wanted, name, layer = scene.sizes("normalized_shape"), name_in_layer(x), scene.layer
    given = x.shape[len(x.shape) - len(wanted) :]
    if not wanted or given == wanted:
        return None
    text = f"{layer} normalises {shape_text(wanted)} features, {name} {shape_text(x.shape)} ends in {shape_text(given)}"
    weight = scene.tensor(1)
    back = next(
        (-at for at, pair in enumerate(zip(given[::-1], wanted[::-1], strict=False), 1) if len({*pair}) > 1), -1
    )
    other = side(weight, back, layer) if weight and weight.shape else Side(None, None, wanted[back], layer)
    note = axis_note(x, wanted[-1]) if len(wanted) == 1 else ()
    return Cause(NORM_SIZE, text, note, (side(x, back, name), other))


def _other_channels_normalised(scene: Scene, x: Operand) -> Cause | None:
    """batch_norm, instance_norm and group_norm: one number per channel."""
    if len(x.shape) < 2:
        return None
    name, layer = name_in_layer(x), scene.layer
    held = [operand for operand in scene.operands[1:] if len(operand.shape) == 1]
    weight = next((operand for operand in held if operand.parameter.endswith("weight")), held[0] if held else None)
    groups = scene.integer("[1]", "num_groups", default=1) if scene.call == "group_norm" else 1
    if groups < 1:
        return Cause(NORM_SIZE, f"{layer} has {groups} groups: one or more are wanted")
    if x.shape[1] % groups:
        text = f"{layer} has {groups} groups, which do not divide the {x.shape[1]} channels of {name}"
        return Cause(NORM_SIZE, text, sides=(side(x, 1, name),), divisor=groups)
    if weight is not None and weight.shape[0] != x.shape[1]:
        text = f"{layer} normalises {weight.shape[0]} channels, {name} {shape_text(x.shape)} has {x.shape[1]}"
        return Cause(NORM_SIZE, text, axis_note(x, weight.shape[0]), (side(x, 1, name), side(weight, 0, layer)))
    return None


@finds()
def other_axes_normalised(scene: Scene) -> Cause | None:
    """nn.BatchNorm2d and nn.InstanceNorm2d, which check the number of axes before they call a function."""
    stage = scene.stage
    operation = stage.operation if stage is not None else ""
    if (
        stage is None
        or not stage.inputs
        or not operation.startswith(("BatchNorm", "InstanceNorm"))
        or not operation[-2:-1].isdigit()
    ):
        return None
    space, shape = int(operation[-2]), stage.inputs[0].shape
    allowed = (2, 3) if space == 1 else (space + 2,)
    if len(shape) in allowed:
        return None
    text = f"{scene.layer} ({operation}) takes {axes_text(allowed[-1])}, its input {shape_text(shape)} has "
    notes = () if len(shape) != 3 else (f"for tokens, {shape_text(shape)}: nn.BatchNorm1d on x.transpose(1, 2)",)
    return Cause(WRONG_RANK, text + str(len(shape)), notes, rank=allowed[-1])
