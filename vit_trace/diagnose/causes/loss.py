"""A loss gets labels of another shape or dtype than its logits call for. cross_entropy and nll_loss take the number of
each one's class (int64): logits b×classes go with labels b, logits b×classes×h×w with labels b×h×w, and the classes are
axis 1. binary_cross_entropy, mse_loss and their like take one number for each score, of the same shape; the binary ones
take floats.
Example: cross_entropy of logits 2×10 takes labels of 2 class numbers, int64; labels 2×128×128 are of a segmentation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

from msgspec.structs import replace

from vit_trace.base.trace import Operand, Source, Stage
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause, CauseKind, Question, finds
from vit_trace.diagnose.changes.calls import call_changed
from vit_trace.diagnose.changes.inputs import first_input
from vit_trace.diagnose.changes.records import AttributeChange, Fix, InputChange, Method, methods_text
from vit_trace.diagnose.dtypes import FLOATS
from vit_trace.diagnose.grids import beside_grid, beside_words, grids_of
from vit_trace.diagnose.producers import REARRANGES, makers_of
from vit_trace.diagnose.scene import Scene, Shape, Side, call_written, called, clash, side

CLASSED = {"cross_entropy", "nll_loss"}
"""Losses that take the number of each class."""

BINARY = {"binary_cross_entropy", "binary_cross_entropy_with_logits"}
"""Losses that take a float of exactly the same shape for each score."""

COMPARING = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "poisson_nll_loss"}
"""Losses that compare two tensors of one shape, and broadcast them."""

FLOATING = {*BINARY, "kl_div"}
CLASS_NUMBERS = {"int64", "uint8"}
IGNORED = -100
"""The class number that cross_entropy leaves out, unless ignore_index says another."""

LONGEST = 40
"""Characters of an expression that a sentence repeats; a longer one is not repeated."""


@dataclass(frozen=True)
class _Loss:
    """A call of a loss: what it is given, and what labels its first argument calls for."""

    scene: Scene
    given: Operand
    labels: Operand

    @property
    def call(self) -> str:
        return self.scene.call

    @cached_property
    def shape(self) -> Shape:
        """The shape of the labels."""
        whole = self.given.shape
        return whole[:1] * (len(whole) > 1) + whole[2:] if self.numbered else whole

    @cached_property
    def dtype(self) -> str:
        """The dtype of the labels; "" where any will do."""
        if self.numbered:
            return "" if self.labels.dtype in CLASS_NUMBERS else "int64"
        allowed = {self.given.dtype} if self.call == "binary_cross_entropy" else FLOATS
        return "" if self.labels.dtype in allowed or self.call not in FLOATING else self.given.dtype

    @cached_property
    def taken(self) -> str:
        """2 class numbers, int64"""
        if not self.numbered:
            what = " class probabilities" if self.call in CLASSED else ""
            return f"{shape_text(self.shape)}{what}{f', {self.dtype}' if self.dtype else ''}"
        many = prod(self.shape) != 1
        return f"{shape_text(self.shape) if self.shape else 'one'} class number{'s' * many}, int64"

    @cached_property
    def numbered(self) -> bool:
        """Whether class numbers are wanted: cross_entropy also takes class probabilities."""
        shape, floats = self.labels.shape, self.labels.dtype in FLOATS
        probable = len(shape) == len(self.given.shape) > 1 < shape[1] and floats
        return self.call in CLASSED and not (self.call == "cross_entropy" and probable)

    @property
    def one_hot(self) -> bool:
        """Whether the labels have a whole number for each class."""
        return self.numbered and self.labels.shape == self.given.shape

    @property
    def fits(self) -> bool:
        loose = self.call in COMPARING and clash(self.labels.shape, self.shape) is None
        return (loose or self.labels.shape == self.shape) and not self.dtype

    @cached_property
    def names(self) -> tuple[str, str]:
        """What a sentence calls the logits and the labels."""
        given = [
            called(replace(one, name=name)) for one, name in zip((self.given, self.labels), self.written, strict=False)
        ]
        one, two = given or (called(self.given), called(self.labels))
        return ("logits" if one in ("its input", "the tensor") else one), two

    @cached_property
    def written(self) -> list[str]:
        """The logits and the labels as they stand in the model's own line; empty where that is not known."""
        both = (self.given, self.labels)
        return (
            [one.name for one in both] if self.labels.span is not None else arguments_written(self.scene.failure.span)
        )


def _loss(scene: Scene) -> _Loss | None:
    given, labels = scene.operands[:2]
    return _Loss(scene, given, labels) if given.shape else None


def arguments_written(span: Source | None) -> list[str]:
    """The two tensors as they are handed to a loss: logits and labels in self.criterion(logits, labels)."""
    call = call_written(span)
    if call is None:
        return []
    given = [*call.given, *(call.keywords[name] for name in ("input", "target") if name in call.keywords)]
    return given[:2] if len(given) >= 2 else []


# -- what is wrong --------------------------------------------------------------------------------------------------


def _labels_as_input(question: Question) -> Iterator[Fix]:
    """The input that the labels are, in the shape and dtype that the logits call for."""
    loss = _loss(question.scene)
    source = next(iter(makers_of(question.scene, loss.labels)[-1:]), None) if loss is not None else None
    if loss is None or source is None or source.kind != "input" or _classes_last(loss) or _regrouped(loss):
        return
    (held,), place = source.outputs, question.scene.inputs.index(source)
    wanted = [(_batched(question, loss.shape), loss.dtype or held.dtype)]
    if loss.call in BINARY and _one_for_each_row(loss):  # a model may choose its loss by the dtype
        wanted.append((loss.given.shape[:-1], "int64"))
    for shape, dtype in wanted:
        same = shape == held.shape
        if shape is not None and (shape, dtype) != (held.shape, held.dtype):
            text = f"{source.name} as {dtype}" if same else f"{source.name} of shape {shape_text(shape)}, {dtype}"
            converted = "" if dtype == held.dtype else dtype
            yield InputChange(text, shape=None if same else shape, dtype=converted, name=source.name, place=place)


def _one_for_each_row(loss: _Loss) -> bool:
    """Whether the labels have one number where the logits have several classes."""
    given = loss.given.shape
    return given[-1] > 1 and prod(loss.labels.shape) == prod(given[:-1])


def _batched(question: Question, wanted: Shape) -> Shape | None:
    """The shape of an input that goes with a batch of images; None where no shape does."""
    batch, count = first_input(question.scene)[:1], prod(wanted)
    if not batch or not batch[0] or count % batch[0]:
        return None
    if wanted[:1] == batch:
        return wanted
    each = count // batch[0]
    return (*batch, each) if each > 1 else batch


def _logits_turned(question: Question) -> Iterator[Fix]:
    """The logits with their classes on axis 1, without an axis of one, or as large as the labels are."""
    loss = _loss(question.scene)
    if loss is None or _regrouped(loss):
        return
    given, labels = loss.given.shape, loss.labels.shape
    if _classes_last(loss):
        axes = len(given)
        steps: Method = ("transpose", 1, 2) if axes == 3 else ("permute", 0, axes - 1, *range(1, axes - 1))
        yield from _line_with(loss, 0, steps)
    elif (found := _beside_labels(loss)) is not None:
        yield from _line_with(loss, 0, ("narrow", *found, given[found[0]] - found[1]))
    elif loss.call not in CLASSED and given == (*labels, 1):
        yield from _line_with(loss, 0, ("squeeze", -1))
    elif loss.call in CLASSED and len(given) == 4 and len(labels) == 3 and given[0] == labels[0]:
        name, target = loss.written or loss.names
        text = f'F.interpolate({name}, {target}.shape[-2:], mode="bilinear") instead of {name}'
        steps = ("interpolate", *labels[-2:])
        yield from call_changed(question.scene, text, operand=0, steps=(steps,))


def _beside_labels(loss: _Loss) -> tuple[int, int] | None:
    """(axis, tokens beside the grid) of predictions for all tokens, where the labels are for patches alone."""
    given, labels = loss.given.shape, loss.labels.shape
    odd = [axis for axis, (one, two) in enumerate(zip(given, labels, strict=False)) if one != two]
    if len(given) != len(labels) or len(odd) != 1 or loss.call in CLASSED:
        return None
    grids = [grid for grid in grids_of(loss.scene.trace) if prod(grid) == labels[odd[0]]]
    more = beside_grid(loss.scene.trace, given[odd[0]], grids[0]) if grids else 0
    return (odd[0], more) if more else None


def _labels_turned(question: Question) -> Iterator[Fix]:
    """The labels without an axis of one, with one more, flattened, or in another dtype."""
    loss = _loss(question.scene)
    if loss is None or _classes_last(loss) or _regrouped(loss) or (loss.call in CLASSED and len(loss.given.shape) < 2):
        return
    shape, wanted = loss.labels.shape, loss.shape
    convert: tuple[Method, ...] = ((_conversion(loss.dtype),),) if loss.dtype else ()
    if loss.one_hot:
        if loss.call == "cross_entropy":
            yield from _line_with(loss, 1, (_conversion(loss.given.dtype),))
        yield from _line_with(loss, 1, ("argmax", 1))
    elif shape == wanted:
        yield from _line_with(loss, 1, *convert)
    elif prod(shape) == prod(wanted):
        yield from _line_with(loss, 1, *to_shape(shape, wanted), *convert)


def to_shape(shape: Shape, wanted: Shape) -> tuple[Method, ...]:
    """Methods that remove or add one axis of size 1, or flatten."""
    for axis, size in reversed([*enumerate(shape)]):
        if size == 1 and (*shape[:axis], *shape[axis + 1 :]) == wanted:
            return (("squeeze", -1 if axis == len(shape) - 1 else axis),)
    for axis, size in reversed([*enumerate(wanted)]):
        if size == 1 and (*wanted[:axis], *wanted[axis + 1 :]) == shape:
            return (("unsqueeze", -1 if axis == len(wanted) - 1 else axis),)
    return (("flatten",),) if len(wanted) == 1 else (("reshape", *wanted),)


def _conversion(dtype: str) -> str:
    """The method of a tensor that converts to a dtype."""
    return {"int64": "long", "float16": "half", "float64": "double"}.get(dtype, dtype.rstrip("0123456789"))


def _line_with(loss: _Loss, place: int, *steps: Method) -> Iterator[Fix]:
    """The line with methods on the logits or on the labels."""
    name = (loss.written or loss.names)[place]
    if len(name) > LONGEST:
        name = f"the {('logits', 'labels')[place]}"
    yield from call_changed(loss.scene, f"{name}{methods_text(steps)} instead of {name}", operand=place, steps=steps)


def _classes_last(loss: _Loss) -> bool:
    """Whether the labels fit logits whose classes are the last axis, where axis 1 is taken for them."""
    given = loss.given.shape
    return loss.call in CLASSED and len(given) > 2 and loss.labels.shape == given[:-1] != loss.shape


def _regrouped(loss: _Loss) -> Shape | None:
    """The shape of the scores before a view read them in rows of another length; None where none did."""
    made = next(iter(makers_of(loss.scene, loss.given)), None)
    if made is None or made.operation not in REARRANGES or not made.inputs or loss.call not in CLASSED:
        return None
    before, now = made.inputs[0].shape, loss.given.shape
    rows = len(now) == 2 and len(before) >= 2 and made.outputs[0].shape == now
    return before if rows and before[-1] != now[-1] and before[1] != now[-1] else None


def _read_in_rows(question: Question) -> Iterator[Fix]:
    """As many classes in the view as the layer before it gives."""
    loss = _loss(question.scene)
    before = _regrouped(loss) if loss is not None else None
    if loss is None or before is None:
        return
    scene, case, held, width = question.scene, question.case, loss.given.shape[-1], before[-1]
    names = [name for name, value in case.hyperparameters.items() if value == held]
    yield from (case.setting({name: width}) for name in names if case.variant is not None)
    module = scene.stage.module if scene.stage is not None else ""
    owner = module if loss.given.span is not None else module.rpartition(".")[0]
    for name, value in scene.whole_numbers.items():
        if name.startswith("self.") and value == held:
            path = name.replace("self", owner, 1).removeprefix(".")
            yield AttributeChange(f"{path} = {width}", {path: width})


LOSS_LABELS = CauseKind("loss-labels", __doc__, (_read_in_rows, _logits_turned, _labels_as_input, _labels_turned))


@finds(*CLASSED, *BINARY, *COMPARING, tensors=2)
def other_labels(scene: Scene) -> Cause | None:
    """`F.cross_entropy(logits, labels)`: the labels' shape and dtype follow from the logits."""
    loss = _loss(scene)
    if loss is None:
        return None
    if loss.given.dtype not in FLOATS and loss.labels.dtype in FLOATS:
        name, labels = loss.names
        text = f"{loss.call} takes logits first, then labels: {name}, which comes first, is {loss.given.dtype}"
        return Cause(LOSS_LABELS, text, (f"{labels} {shape_text(loss.labels.shape)} is {loss.labels.dtype}",))
    return _by_values(loss) if loss.fits else _labels_misfit(loss)


def _labels_misfit(loss: _Loss) -> Cause:
    name, labels = loss.names
    text = f"{loss.call} of {name} {shape_text(loss.given.shape)} takes labels of {loss.taken}; "
    shape, dtype = shape_text(loss.labels.shape) if loss.labels.shape else "a single number", loss.labels.dtype
    text += f"{labels} {'are' if labels.endswith('s') and loss.labels.shape else 'is'} {shape}"
    return Cause(LOSS_LABELS, f"{text}, {dtype}" if loss.dtype or loss.one_hot else text, tuple(_notes(loss)))


def _notes(loss: _Loss) -> Iterator[str]:
    """What the labels may be instead, and what they are made of."""
    (name, labels), given = loss.names, loss.given.shape
    if (before := _regrouped(loss)) is not None:
        yield f"{name} {shape_text(given)} was {shape_text(before)}: rows of {before[-1]} read as rows of {given[-1]}"
    if loss.call in CLASSED and len(given) == 1:
        yield f"logits of one axis are the scores of {given[0]} classes for one image, not one score for each image"
    elif loss.one_hot and loss.call == "cross_entropy":
        yield f"labels of the shape of the logits are class probabilities, which have to be {loss.given.dtype}"
    elif _classes_last(loss):
        yield f"axis 1 is taken for the classes, and has {given[1]}; {labels} would fit if the last axis were"
    elif loss.call in BINARY and _one_for_each_row(loss):
        yield f"class numbers, int64, go with cross_entropy; {loss.call} takes a float for each of {given[-1]} classes"
    if (found := _beside_labels(loss)) is not None:
        axis, more = found
        yield f"{given[axis]} = {given[axis] - more} patches + {beside_words(loss.scene.trace, more)}"
    made = makers_of(loss.scene, loss.labels)
    if made and made[-1].kind == "input":
        yield from _notes_of_input(loss, made)


def _notes_of_input(loss: _Loss, made: list[Stage]) -> Iterator[str]:
    """The input that the labels were made of; class numbers of pixels where an image gets one label."""
    source, (_, labels) = made[-1], loss.names
    shape, given = source.outputs[0].shape, loss.given.shape
    if len(made) > 1:
        yield f"{labels} {shape_text(loss.labels.shape)} is made of the input {source.name} {shape_text(shape)}"
    if loss.call in CLASSED and len(given) == 2 and len(shape) == 3 and shape[0] == given[0]:
        pixels = shape_text(shape[1:])
        yield f"a class number for each of {pixels} pixels goes with logits of {given[0]}×classes×{pixels}"


def _by_values(loss: _Loss) -> Cause | None:
    """Shapes and dtypes are right: a class that is not there, weights of other classes, no probabilities."""
    (name, labels), given = loss.names, loss.given
    if loss.call == "binary_cross_entropy" and loss.scene.tensor(2) is None:
        text = f"{loss.call} takes probabilities and labels between 0 and 1"
        return Cause(LOSS_LABELS, text, (f"scores before a sigmoid go with {loss.call}_with_logits",))
    if loss.call not in CLASSED:
        return None
    axis = 1 if len(given.shape) > 1 else 0
    classes, weight = given.shape[axis], loss.scene.tensor(2)
    of = f"{loss.call} of {name} {shape_text(given.shape)}"
    if weight is not None and weight.shape != (classes,):
        sides = (side(given, axis, name), side(weight, 0))
        text = f"{of} takes a weight for each of {classes} classes; {called(weight)} is {shape_text(weight.shape)}"
        return Cause(LOSS_LABELS, text, sides=sides)
    lowest, highest = loss.labels.extent or (0, 0)
    labels = labels if labels.isidentifier() else "the labels"
    ignored = loss.scene.integer("ignore_index", "[4]", default=IGNORED)
    if highest < classes and (lowest >= 0 or lowest == ignored):
        return None
    extent = f"go from {lowest} to {highest}" if lowest != highest else f"are all {lowest}"
    text = f"{of} takes class numbers from 0 to {classes - 1}; {labels} {extent}"
    if lowest == 1 and highest == classes:
        return Cause(LOSS_LABELS, text, ("labels that count from 1 go in as labels - 1",))
    sides = (side(given, axis, name), Side(None, None, highest + 1, labels))
    return Cause(LOSS_LABELS, text, sides=sides if highest >= classes else ())
