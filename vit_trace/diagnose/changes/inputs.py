"""Changes the input: moves its axes, resizes it, converts its dtype. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from math import isqrt

from vit_trace.base.roles import role_named
from vit_trace.base.trace import Producer, Value
from vit_trace.base.words import shape_text
from vit_trace.diagnose.cause import Cause
from vit_trace.diagnose.changes.records import Fix, InputChange, ModelDtype
from vit_trace.diagnose.changes.steps import Method, Shape, method, shape_after
from vit_trace.diagnose.scene import Scene
from vit_trace.diagnose.trials import Case
from vit_trace.targets.knobs import image_changes

ROOT_DIVISORS = (32, 16, 14, 8, 7)
"""Patch and window sizes whose multiples are tried as image sizes."""

USUAL = (224, 256, 384, 512)
"""Image sizes tried after those multiples."""

CHANNEL_COUNTS = (1, 3, 4)
"""Numbers of channels of an image."""

PART_OF_IMAGE = re.compile("patch|window|kernel|stride|head|dim|depth")
"""Names of numbers that are not the size of an image."""

WHOLE = {"uint8", "int8", "int16", "int32", "int64"}

UNSHAPED = {"index", "chunk", "unpack"}
"""Failures that reordering the axes cannot fix."""


def first_input(scene: Scene) -> Shape:
    """The shape of the first input; () where there is none."""
    return next((spec.shape for stage in scene.inputs for spec in stage.outputs), ())


def dtype_of_input(scene: Scene) -> str:
    return next((spec.dtype for stage in scene.inputs for spec in stage.outputs), "float32")


def conversions(scene: Scene) -> Iterator[Fix]:
    """Converts the input to the model's dtype, or the model to the input's."""
    held = [operand.dtype for operand in scene.operands if operand.parameter]
    held = held or [parameter.dtype for parameter in scene.trace.parameters]
    held = ["int64"] if scene.call == "embedding" else held
    given = dtype_of_input(scene)
    for dtype in dict.fromkeys(held):
        if dtype != given:
            yield InputChange(f"the input as {dtype}: x.to(torch.{dtype})", dtype=dtype)
    if given.startswith(("float", "bfloat")):
        yield ModelDtype(f"the model as {given}: model.to(torch.{given})", given)


def layouts(scene: Scene, cause: Cause, case: Case) -> Iterator[Fix]:
    """Adds or removes a batch axis, moves the channels: only if the number or order of the axes may be wrong."""
    shape = first_input(scene)
    expected = case.expected
    if expected is not None and len(expected) == len(shape) and plausible(shape, expected):
        return
    ranked = rank_in_doubt(cause, shape, expected)
    if not ranked and (cause.code in UNSHAPED or scene.call in ("", "subscript")):
        return
    for words, steps in layout_steps(shape, expected):
        moved = shape_after(shape, steps)
        if len(moved) != len(shape) and not ranked:
            continue
        text = f"{words}: x.{'.'.join(map(str, steps))}"
        yield InputChange(text, steps)
        held = next((one.dtype for one in scene.trace.parameters), "float32")
        if dtype_of_input(scene) in WHOLE:  # images as they are read from a file
            yield InputChange(f"{text}.to(torch.{held})", steps, dtype=held)
        for name, value in built_for(moved, case).items() if len(moved) == 4 else ():
            yield InputChange(f"{text} and {case.words(name, value)}", steps, built={name: value})


def rank_in_doubt(cause: Cause, shape: Sequence[int], expected: Sequence[int] | None) -> bool:
    """Whether the input may have too few or too many axes, by the model, by the cause or by its shape."""
    if expected is not None:
        return len(expected) != len(shape)
    return cause.rank is not None or (len(shape) == 3 and unbatched(shape) and cause.code not in UNSHAPED)


def unbatched(shape: Sequence[int]) -> bool:
    """Whether three axes look like one image: channels first or last, and longer sides."""
    return (shape[0] in CHANNEL_COUNTS and min(shape[1:]) > 4) or (shape[2] in CHANNEL_COUNTS and min(shape[:2]) > 4)


def plausible(shape: Sequence[int], expected: Sequence[int]) -> bool:
    """Whether the channels of an input are where the model expects them."""
    return len(shape) != 4 or shape[1] == expected[1] or expected[1] not in (shape[0], shape[-1])


def built_for(shape: Shape, case: Case) -> dict[str, Value]:
    """Hyperparameters of a model built for such images, where they differ from the model's own."""
    changes: dict[str, Value] = {}
    for name, value in case.hyperparameters.items() if case.variant is not None else ():
        role = role_named(name)
        if role == "image" and type(value) in (int, list):
            size = image_changes([((name,), value)], shape[2], shape[3])[(name,)]
            wanted: Value = list(size) if isinstance(size, tuple) else size
        elif role == "channels" and type(value) is int:
            wanted = shape[1]
        else:
            continue
        if wanted != value:
            changes[name] = wanted
    return changes


def layout_steps(shape: Shape, expected: Shape | None) -> Iterator[tuple[str, tuple[Method, ...]]]:
    """(what the methods do, methods to call on the input)"""
    channels = {expected[1]} if expected is not None and len(expected) == 4 else set(CHANNEL_COUNTS)
    if len(shape) == 4 and shape[-1] in channels and shape[1] not in channels:
        yield "channels moved to the front", (method("permute", 0, 3, 1, 2),)
    if len(shape) == 4 and shape[0] in channels and shape[1] not in channels:
        yield "batch and channels exchanged", (method("transpose", 0, 1),)
    if len(shape) == 3:
        if shape[-1] in channels and shape[0] not in channels:
            yield "channels moved to the front and a batch axis", (method("permute", 2, 0, 1), method("unsqueeze", 0))
        image = expected is not None or unbatched(shape)
        yield "a batch axis" if image else "an axis in front", (method("unsqueeze", 0),)
    if len(shape) == 2 and (expected is None or len(expected) == 3):
        yield "a batch axis", (method("unsqueeze", 0),)
    if len(shape) == 5:
        axis = next((axis for axis in (0, 1, 2) if shape[axis] == 1), None)
        if axis is not None:
            yield "without the extra axis", (method("squeeze", axis),)
        yield "the two batch axes as one", (method("flatten", 0, 1),)
    if len(shape) == 1:
        yield "a batch axis", (method("unsqueeze", 0),)


def swapped(scene: Scene, cause: Cause) -> Iterator[Fix]:
    """Exchanges two axes of the input if their sizes are the ones that disagree."""
    shape = first_input(scene)
    pairs = [(1, 2), (0, 1)] if len(shape) == 3 else [(2, 3)] if len(shape) == 4 else []
    for one, two in pairs:
        if shape[one] != shape[two] and are_at_odds(scene, cause, shape[one], shape[two]):
            yield InputChange(
                f"axes {one} and {two} exchanged: x.transpose({one}, {two})", (method("transpose", one, two),)
            )


def are_at_odds(scene: Scene, cause: Cause, one: int, two: int) -> bool:
    """Whether two sizes, or the grids of them, are the ones that disagree, or an assertion holds both."""
    if cause.code == "assertion":
        lists = [value for value in scene.failure.values.values() if isinstance(value, list)]
        return [two, one] in lists or {one, two} <= set(whole_numbers(scene))
    if len(cause.sides) != 2:
        return False
    first, second = (side.size for side in cause.sides)
    return one * first == two * second or one * second == two * first


def whole_numbers(scene: Scene) -> list[int]:
    """The whole numbers of the frame that raised."""
    return [value for value in scene.failure.values.values() if type(value) is int]


def input_sizes(scene: Scene, cause: Cause, producers: Sequence[Producer], case: Case) -> Iterator[Fix]:
    """Inputs of the size that the model was made for, of sizes that divide, of a grid with the right token count."""
    shape, expected = first_input(scene), case.expected or ()
    if len(expected) == len(shape) != 4 and shape:
        yield from resized_to(shape, (shape[0], *expected[1:]))
    elif len(expected) == 5:
        yield from resized_to(shape, expected)
    if len(shape) != 4:
        return
    if len(expected) == 4:
        yield from image_of(shape, expected[1], *expected[2:])
    if cause.code == "conv-channels":
        for side in cause.sides[1:]:
            yield from image_of(shape, side.size)
    sizes = chain(asserted(scene, shape), grids(cause, scene, shape, producers), multiples(scene, cause, shape))
    for height, width in sizes:
        yield from image_of(shape, shape[1], height, width)
    if cause.code in ("linear", "norm-size", "conv-channels", "einops-length", "assertion"):
        for channels in CHANNEL_COUNTS:
            yield from image_of(shape, channels)


def image_of(shape: Shape, channels: int, *size: int) -> Iterator[Fix]:
    """The batch of images with other channels or of another (height, width); nothing where both stay."""
    wanted = (shape[0], channels, *(size or shape[2:]))
    text = f"an input of {wanted[2]}×{wanted[3]}"
    if channels != shape[1]:
        text = f"an input of {channels} channels{f', {shape_text(wanted)}' if wanted[2:] != shape[2:] else ''}"
    if wanted != shape:
        yield InputChange.sized(wanted, text)


def resized_to(shape: Shape, wanted: Shape) -> Iterator[Fix]:
    """The input in another shape; nothing where it has that shape."""
    if wanted != shape:
        yield InputChange.sized(wanted)


def input_width(scene: Scene, cause: Cause, case: Case) -> Iterator[Fix]:
    """Tokens with as many features as the layer was built for."""
    shape = first_input(scene)
    if case.expected is not None or len(shape) == 4 or len(cause.sides) != 2:
        return
    have, want = (side.size for side in cause.sides)
    if cause.code in ("linear", "norm-size", "attention-width") and shape[-1:] == (have,):
        yield from resized_to(shape, (*shape[:-1], want))


def asserted(scene: Scene, shape: Shape) -> Iterator[tuple[int, int]]:
    """Sizes that the raising code holds: self.img_size = (224, 224)."""
    if scene.failure.call != "raise":
        return
    for name, value in scene.failure.values.items():
        if PART_OF_IMAGE.search(name):
            continue
        if isinstance(value, list) and len(value) == 2 and all(isinstance(one, int) and one >= 16 for one in value):
            yield value[0], value[1]
        elif type(value) is int and value >= 16 and value not in shape:
            yield value, value


def grids(cause: Cause, scene: Scene, shape: Shape, producers: Sequence[Producer]) -> Iterator[tuple[int, int]]:
    """If one of the token counts is a grid of this input: inputs whose grid gives the other count."""
    sizes = [side.size for side in cause.sides]
    free = cause.code == "broadcast"  # there only a table of positions says how many there should be
    held = {made.size for made in producers if made.parameter}
    wanted = [side.size for side in cause.sides if not free or side.size in held]
    known = {spec.shape[-2:] for stage in scene.trace.stages for spec in stage.outputs if len(spec.shape) == 4}
    known |= {(shape[2] // patch, shape[3] // patch) for patch in (8, 14, 16, 32)}
    for down, across in known:
        if not down or not across or shape[2] % down or shape[3] % across:
            continue
        for have in sizes:
            extra = have - down * across
            if not 0 <= extra <= 8:
                continue
            for want in wanted:
                root = isqrt(max(want - extra, 0))
                if want != have and root and root * root == want - extra:
                    yield root * (shape[2] // down), root * (shape[3] // across)


def multiples(scene: Scene, cause: Cause, shape: Shape) -> Iterator[tuple[int, int]]:
    """The nearest multiples of what has to divide the image size, then the usual sizes."""
    if cause.code not in ("reshape", "window", "einops-divide", "einops-length", "assertion", "cat", "kernel"):
        return
    numbers = [cause.divisor or 0]
    if cause.code in ("assertion", "window"):
        numbers += [value for value in scene.failure.values.values() if type(value) is int and 1 < value <= 64]
    kernels = [one.shape[-1] for one in scene.trace.parameters if len(one.shape) == 4 and one.shape[-1]][:1]
    steps = [number * kernel for number in numbers if number > 1 for kernel in (1, *kernels)]
    down, across = shape[2:]
    found = {(rounded(down, step, up), rounded(across, step, up)) for step in (*steps, *ROOT_DIVISORS) for up in (0, 1)}
    yield from sorted(found, key=lambda one: (abs(one[0] - down) + abs(one[1] - across), one))
    for size in sorted(USUAL, key=lambda size: abs(size - shape[2])):
        yield size, size


def rounded(size: int, step: int, up: int) -> int:
    """The multiple of a step next to a size, below or above; at least one step."""
    return max(size // step + (up and size % step > 0), 1) * step
