"""Another input: its axes moved, its size, its dtype. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
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
USUAL = (224, 256, 384, 512)
COLOURS = (1, 3, 4)

PART_OF_IMAGE = re.compile("patch|window|kernel|stride|head|dim|depth")
"""Names of numbers that are no image's size."""

WHOLE = {"uint8", "int8", "int16", "int32", "int64"}

UNSHAPED = {"index", "chunk", "unpack"}
"""Causes that another order of the input's axes is no answer to."""


def first_input(scene: Scene) -> tuple[int, ...]:
    for stage in scene.inputs:
        for spec in stage.outputs:
            return spec.shape
    return ()


def dtype_of_input(scene: Scene) -> str:
    return next((spec.dtype for stage in scene.inputs for spec in stage.outputs), "float32")


def conversions(scene: Scene) -> Iterator[Fix]:
    """The input in the model's dtype; the model in the input's."""
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
    """A batch axis more or less, channels moved: only where the number or the order of axes may be what is wrong."""
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
    """Whether the input may have an axis too few or too many: the cause says so, the model, or the looks of it."""
    if expected is not None:
        return len(expected) != len(shape)
    return cause.rank is not None or (len(shape) == 3 and unbatched(shape) and cause.code not in UNSHAPED)


def unbatched(shape: Sequence[int]) -> bool:
    """Whether three axes look like one image: channels first or last, and sides that are longer than those."""
    return (shape[0] in COLOURS and min(shape[1:]) > 4) or (shape[2] in COLOURS and min(shape[:2]) > 4)


def plausible(shape: Sequence[int], expected: Sequence[int]) -> bool:
    """Whether an input stands the way the model wants it: the channels are where they should be."""
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


def layout_steps(shape: tuple[int, ...], expected: tuple[int, ...] | None) -> Iterator[tuple[str, tuple[Method, ...]]]:
    """(what they do, methods of the input)"""
    colours = {expected[1]} if expected is not None and len(expected) == 4 else set(COLOURS)
    if len(shape) == 4 and shape[-1] in colours and shape[1] not in colours:
        yield "channels moved to the front", (method("permute", 0, 3, 1, 2),)
    if len(shape) == 4 and shape[0] in colours and shape[1] not in colours:
        yield "batch and channels exchanged", (method("transpose", 0, 1),)
    if len(shape) == 3:
        if shape[-1] in colours and shape[0] not in colours:
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
    """Two axes of the input exchanged, where their sizes are the ones that disagree."""
    shape = first_input(scene)
    pairs = [(1, 2), (0, 1)] if len(shape) == 3 else [(2, 3)] if len(shape) == 4 else []
    for one, two in pairs:
        if shape[one] != shape[two] and are_at_odds(scene, cause, shape[one], shape[two]):
            yield InputChange(
                f"axes {one} and {two} exchanged: x.transpose({one}, {two})", (method("transpose", one, two),)
            )


def are_at_odds(scene: Scene, cause: Cause, one: int, two: int) -> bool:
    """Whether two sizes, or what a grid makes of them, are those that disagree; or whether a refusal speaks of both."""
    if cause.code == "assertion":
        lists = [value for value in scene.failure.values.values() if isinstance(value, list)]
        return [two, one] in lists or {one, two} <= set(whole_numbers(scene))
    if len(cause.sides) != 2:
        return False
    first, second = (side.size for side in cause.sides)
    return one * first == two * second or one * second == two * first


def whole_numbers(scene: Scene) -> list[int]:
    """The numbers of the failing frame."""
    return [value for value in scene.failure.values.values() if type(value) is int]


def image(shape: Sequence[int]) -> str:
    return f"an input of {shape[2]}×{shape[3]}"


def input_sizes(scene: Scene, cause: Cause, producers: Sequence[Producer], case: Case) -> Iterator[Fix]:
    """The size the model was made for, sizes that divide, a grid with the right number of patches."""
    shape = first_input(scene)
    if case.expected is not None and len(case.expected) == 5 != len(shape):
        yield from shaped(shape, [case.expected])
    if len(shape) != 4:
        if case.expected is not None and shape and len(case.expected) == len(shape):
            yield from shaped(shape, [(shape[0], *case.expected[1:])])
        return
    if case.expected is not None and len(case.expected) == 4:
        wanted = (shape[0], *case.expected[1:])
        if wanted != shape:
            if wanted[1] != shape[1]:
                shown = f", {shape_text(wanted)}" if wanted[2:] != shape[2:] else ""
                yield InputChange.sized(wanted, f"an input of {wanted[1]} channels{shown}")
            else:
                yield InputChange.sized(wanted, image(wanted))
    for side in cause.sides[1:]:
        if cause.code == "conv-channels":
            yield InputChange.sized((shape[0], side.size, *shape[2:]), f"an input of {side.size} channels")
    for height, width in chain(
        asserted(scene, shape), grids(cause, scene, shape, producers), multiples(scene, cause, shape)
    ):
        wanted = (shape[0], shape[1], height, width)
        if wanted != shape:
            yield InputChange.sized(wanted, image(wanted))
    if cause.code in ("linear", "norm-size", "conv-channels", "einops-length", "assertion"):
        for channels in COLOURS:
            if channels != shape[1]:
                wanted = (shape[0], channels, *shape[2:])
                yield InputChange.sized(wanted, f"an input of {channels} channels")


def input_width(scene: Scene, cause: Cause, case: Case) -> Iterator[Fix]:
    """Tokens of the width that a layer was built for."""
    shape = first_input(scene)
    if case.expected is not None or len(shape) == 4 or len(cause.sides) != 2:
        return
    have, want = (side.size for side in cause.sides)
    if cause.code in ("linear", "norm-size", "attention-width") and shape[-1:] == (have,):
        yield from shaped(shape, [(*shape[:-1], want)])


def shaped(shape: tuple[int, ...], wanted: Iterable[tuple[int, ...]]) -> Iterator[Fix]:
    for one in wanted:
        if one != shape:
            yield InputChange.sized(one)


def asserted(scene: Scene, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Sizes that the raising code speaks of: self.img_size = (224, 224)."""
    if scene.failure.call != "raise":
        return
    for name, value in scene.failure.values.items():
        if PART_OF_IMAGE.search(name):
            continue
        if isinstance(value, list) and len(value) == 2 and all(isinstance(one, int) and one >= 16 for one in value):
            yield value[0], value[1]
        elif type(value) is int and value >= 16 and value not in shape:
            yield value, value


def grids(
    cause: Cause, scene: Scene, shape: tuple[int, ...], producers: Sequence[Producer]
) -> Iterator[tuple[int, int]]:
    """Where one count of tokens is a grid of this input, inputs whose grid gives the other count."""
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


def multiples(scene: Scene, cause: Cause, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """The nearest sizes that are multiples of what has to divide them."""
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
    """The multiple of a step next to a size, at least one step."""
    return max(size // step + (up and size % step > 0), 1) * step
