"""Changes the input: moves its axes, resizes it, converts its dtype. No torch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from vit_trace.base.roles import role_named
from vit_trace.base.trace import Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.changes.records import Fix, InputChange, Method, ModelDtype, methods_text
from vit_trace.diagnose.scene import Scene, Shape
from vit_trace.diagnose.trials import Case
from vit_trace.targets.knobs import image_changes

CHANNEL_COUNTS = (1, 3, 4)
"""Numbers of channels of an image."""

WHOLE = {"uint8", "int8", "int16", "int32", "int64"}


def first_input(scene: Scene) -> Shape:
    """The shape of the first input; () where there is none."""
    return next((spec.shape for stage in scene.inputs for spec in stage.outputs), ())


def _dtype_of_input(scene: Scene) -> str:
    return next((spec.dtype for stage in scene.inputs for spec in stage.outputs), "float32")


def conversions(question: Question) -> Iterator[Fix]:
    """Converts the input to the model's dtype, or the model to the input's."""
    scene = question.scene
    held = [operand.dtype for operand in scene.operands if operand.parameter]
    held = held or [parameter.dtype for parameter in scene.trace.parameters]
    held = ["int64"] if scene.call == "embedding" else held
    given = _dtype_of_input(scene)
    for dtype in dict.fromkeys(held):
        if dtype != given:
            yield InputChange(f"the input as {dtype}: x.to(torch.{dtype})", dtype=dtype)
    if given.startswith(("float", "bfloat")):
        yield ModelDtype(f"the model as {given}: model.to(torch.{given})", given)


def layouts(question: Question) -> Iterator[Fix]:
    """Adds or removes a batch axis, moves the channels: only if the number or order of the axes may be wrong."""
    shape, expected = first_input(question.scene), question.case.expected
    in_doubt = question.cause.rank is not None or (len(shape) == 3 and unbatched(shape))
    if expected is not None:
        in_doubt = len(expected) != len(shape)
    if in_doubt or question.scene.call not in ("", "subscript"):
        yield from _layouts_from(question, in_doubt)


def layouts_of_expected_axes(question: Question) -> Iterator[Fix]:
    """The same, but only where the model expects another number of axes: the cause is not one of shapes."""
    shape, expected = first_input(question.scene), question.case.expected
    if expected is not None and len(expected) != len(shape):
        yield from _layouts_from(question, in_doubt=True)


def _layouts_from(question: Question, in_doubt: bool) -> Iterator[Fix]:
    """Other layouts, those with another number of axes only where that is `in_doubt`."""
    scene, case = question.scene, question.case
    shape, expected = first_input(scene), case.expected
    known = expected if expected is not None and len(expected) == len(shape) else ()
    if known and len(shape) != 5 and (len(shape) != 4 or shape[1] == known[1] or known[1] not in (shape[0], shape[-1])):
        return  # the channels are where the model expects them
    channels = {expected[1]} if expected is not None and len(expected) == 4 else set(CHANNEL_COUNTS)
    if scene.call.startswith("conv") and len(question.cause.sides) == 2:  # those that the failing layer takes
        channels = {question.cause.sides[1].size}
    for words, steps in _layout_steps(shape, expected, channels):
        moved = _shape_after(shape, steps)
        if len(moved) != len(shape) and not in_doubt:
            continue
        text = f"{words}: x{methods_text(steps)}"
        yield InputChange(text, steps)
        held = next((one.dtype for one in scene.trace.parameters), "float32")
        if _dtype_of_input(scene) in WHOLE:  # images as they are read from a file
            yield InputChange(f"{text}.to(torch.{held})", steps, dtype=held)
        for name, value in built_for(moved, case).items():
            yield InputChange(f"{text} and {case.words(name, value)}", steps, settings={name: value})


def unbatched(shape: Sequence[int]) -> bool:
    """Whether three axes look like one image: channels first or last, and longer sides."""
    return (shape[0] in CHANNEL_COUNTS and min(shape[1:]) > 4) or (shape[2] in CHANNEL_COUNTS and min(shape[:2]) > 4)


def built_for(shape: Shape, case: Case) -> dict[str, Value]:
    """Hyperparameters of a model built for such images or clips, where they differ from the model's own."""
    changes: dict[str, Value] = {}
    time = _axis_of_time(shape, case)
    for name, value in case.hyperparameters.items() if case.variant is not None and len(shape) in (4, 5) else ():
        role = role_named(name)
        if role == "image" and type(value) in (int, list):
            depth = shape[time] if time is not None else None
            size = image_changes([((name,), value)], shape[-2], shape[-1], depth)[(name,)]
            wanted: Value = list(size) if isinstance(size, tuple) else size
        elif role == "channels" and type(value) is int:
            wanted = shape[1 if time is None else 3 - time]
        elif role == "frames" and time is not None and type(value) is int:
            wanted = shape[time]
        else:
            continue
        if wanted != value:
            changes[name] = wanted
    return changes


def _axis_of_time(shape: Shape, case: Case) -> int | None:
    """The axis of frames or slices, beside that of the channels; None for images."""
    if len(shape) != 5:
        return None
    order = case.expected if len(case.expected or ()) == 5 else shape
    return 2 if order is not None and order[1] in CHANNEL_COUNTS else 1


def _layout_steps(shape: Shape, expected: Shape | None, channels: set[int]) -> Iterator[tuple[str, tuple[Method, ...]]]:
    """(what the methods do, methods to call on the input)"""
    if len(shape) == 4 and shape[-1] in channels and shape[1] not in channels:
        yield "channels moved to the front", (("permute", 0, 3, 1, 2),)
    if len(shape) == 4 and shape[0] in channels and shape[1] not in channels:
        yield "batch and channels exchanged", (("transpose", 0, 1),)
    if len(shape) == 3:
        if shape[-1] in channels and shape[0] not in channels:
            yield "channels moved to the front and a batch axis", (("permute", 2, 0, 1), ("unsqueeze", 0))
        image = expected is not None or unbatched(shape)
        yield "a batch axis" if image else "an axis in front", (("unsqueeze", 0),)
    if len(shape) == 1 or (len(shape) == 2 and (expected is None or len(expected) == 3)):
        yield "a batch axis", (("unsqueeze", 0),)
    if len(shape) == len(expected or ()) == 5 and expected is not None:
        place = 1 if expected[1] in CHANNEL_COUNTS else 2
        if shape[place] != expected[place] == shape[3 - place]:
            yield "frames and channels exchanged", (("transpose", 1, 2),)
    elif len(shape) == 5:
        if shape[2] in channels and shape[1] not in channels:
            yield "frames and channels exchanged", (("transpose", 1, 2),)
        elif shape[4] in channels and shape[1] not in channels:
            yield "channels moved to the front", (("permute", 0, 4, 1, 2, 3),)
        axis = next((axis for axis in (0, 1, 2) if shape[axis] == 1), None)
        if axis is not None:
            yield "without the extra axis", (("squeeze", axis),)
        yield "the two batch axes as one", (("flatten", 0, 1),)


def _shape_after(shape: Shape, steps: Iterable[Method]) -> Shape:
    """The shape once axes are moved, added or removed."""
    sizes = list(shape)
    for name, *axes in steps:
        first, second = (*axes, 0)[:2]
        if name == "permute":
            sizes = [sizes[axis] for axis in axes]
        elif name == "transpose":
            sizes[first], sizes[second] = sizes[second], sizes[first]
        elif name == "unsqueeze":
            sizes.insert(first, 1)
        elif name == "squeeze":
            del sizes[first]
        elif name == "flatten":
            sizes[first : second + 1] = [sizes[first] * sizes[second]]
    return tuple(sizes)


def exchanges(scene: Scene, wanted: Callable[[int, int], bool]) -> Iterator[Fix]:
    """Two axes of the input exchanged, where their sizes are `wanted`."""
    shape = first_input(scene)
    pairs = [(1, 2), (0, 1)] if len(shape) == 3 else [(2, 3)] if len(shape) == 4 else []
    for one, two in pairs:
        if shape[one] != shape[two] and wanted(shape[one], shape[two]):
            text = f"axes {one} and {two} exchanged: x.transpose({one}, {two})"
            yield InputChange(text, (("transpose", one, two),))


def swapped_axes(question: Question) -> Iterator[Fix]:
    """Exchanges two axes of the input if their sizes, or the grids of them, are the ones that disagree."""
    if len(question.cause.sides) != 2:
        return
    first, second = (side.size for side in question.cause.sides)
    products = ((first, second), (second, first))
    yield from exchanges(question.scene, lambda one, two: any(one * a == two * b for a, b in products))


def expected_input(question: Question) -> Iterator[Fix]:
    """An input of the size that the model was made for."""
    shape, expected = first_input(question.scene), question.case.expected or ()
    if len(expected) == len(shape) == 4:
        yield from resized_images(shape, expected[1], *expected[2:])
    elif len(expected) == len(shape) and shape:
        yield from _resized_to(shape, (shape[0], *expected[1:]))
    elif len(expected) == 5:
        yield from _resized_to(shape, expected)


def resized_images(shape: Shape, channels: int, *size: int) -> Iterator[InputChange]:
    """The batch of images with other channels or of another (height, width); nothing where both stay."""
    wanted = (shape[0], channels, *(size or shape[2:]))
    if wanted != shape:
        yield resized_input(shape, wanted)


def resized_input(given: Shape, shape: Shape) -> InputChange:
    """An input of another shape, said by what differs: the batch, the channels, the sides of images, or all of it."""
    if given[1:] == shape[1:]:
        return InputChange.sized(shape, f"a batch of {shape[0]}")
    if len(shape) == 4 and given[:2] == shape[:2]:
        return InputChange.sized(shape, f"an input of {shape_text(shape[2:])}")
    if len(shape) == 4 and given[0] == shape[0]:
        whole = f", {shape_text(shape)}" if shape[2:] != given[2:] else ""
        return InputChange.sized(shape, f"an input of {shape[1]} channels{whole}")
    return InputChange.sized(shape)


def images_of(question: Question, sizes: Iterable[tuple[int, int]]) -> Iterator[Fix]:
    """Images of other heights and widths, where the input is a batch of images; the model is built for them too.

    Only a model that is built for its present input follows: others take several sizes, or fail for that.
    """
    shape, case = first_input(question.scene), question.case
    follows = len(shape) == 4 and not built_for(shape, case)
    for height, width in sizes if len(shape) == 4 else ():
        settings = built_for((*shape[:2], height, width), case) if follows else {}
        for change in resized_images(shape, shape[1], height, width):
            text = f"{case.setting(settings).text} and {change.text}" if settings else change.text
            yield replace(change, text=text, settings=settings)


def _resized_to(shape: Shape, wanted: Shape) -> Iterator[Fix]:
    """The input in another shape; nothing where it has that shape."""
    if wanted != shape:
        yield InputChange.sized(wanted)


def usual_channels(question: Question) -> Iterator[Fix]:
    """Images of one, three or four channels."""
    shape = first_input(question.scene)
    for channels in CHANNEL_COUNTS if len(shape) == 4 else ():
        yield from resized_images(shape, channels)


def other_inputs(question: Question) -> Iterator[Fix]:
    """Another input than the first in the size that the other side has: a mask of as many tokens as there are."""
    sides, inputs = question.cause.sides, question.scene.inputs
    for made in question.producers if len(sides) == 2 else ():
        place = next((at for at, one in enumerate(inputs) if one.index == made.stage and at), None)
        wanted = next((side.size for side in sides if side.size != made.size), 0)
        shape = inputs[place].outputs[0].shape if place is not None and inputs[place].outputs else ()
        if place is None or shape[1:].count(made.size) != 1 or wanted < 2:
            continue
        shape = (shape[0], *(wanted if size == made.size else size for size in shape[1:]))
        name = inputs[place].name
        yield InputChange(f"{name} of shape {shape_text(shape)}", shape=shape, name=name, place=place)


def input_width(question: Question) -> Iterator[Fix]:
    """Tokens with as many features as the layer was built for."""
    shape, sides = first_input(question.scene), question.cause.sides
    if question.case.expected is None and len(shape) != 4 and len(sides) == 2 and shape[-1:] == (sides[0].size,):
        yield from _resized_to(shape, (*shape[:-1], sides[1].size))
