"""Changes that might help, the smallest first: data, none of which is offered before it was tried. No torch.

Each function yields candidates for one kind of change; `remedies` tries them and keeps those that run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import isqrt

from vit_trace.checks.producers import siblings
from vit_trace.checks.scene import Cause, Scene, Side, shape_text
from vit_trace.checks.trials import Case
from vit_trace.tracing.schema import Producer, Remedy, Value

MOST = 4
"""Remedies that are offered."""

ROOT_DIVISORS = (32, 16, 14, 8, 7)
USUAL = (224, 256, 384, 512)
COLOURS = (1, 3, 4)


def remedies(scene: Scene, cause: Cause, producers: Sequence[Producer], case: Case) -> list[Remedy]:
    """What works, in the order in which it is to be offered."""
    found: list[Remedy] = []
    kinds: dict[str, int] = {}
    for candidate in candidates(scene, cause, producers, case):
        if len(found) >= MOST or case.spent:
            break
        group = group_of(candidate)
        if kinds.get(group, 0) >= (4 if group == "divisors" else 1 if group == "layout" else 2):
            continue
        worked = case.attempt(candidate)
        if worked is not None and worked.change not in [one.change for one in found]:
            found.append(worked)
            kinds[group] = kinds.get(group, 0) + 1
            if group == "layout":
                break
    return found


def group_of(remedy: Remedy) -> str:
    if remedy.kind == "input" and "steps" in remedy.values:
        return "layout"
    if remedy.kind in ("hyperparameter", "attribute"):
        return "divisors"
    return remedy.kind


def candidates(scene: Scene, cause: Cause, producers: Sequence[Producer], case: Case) -> Iterator[Remedy]:
    """All kinds of changes, those first that the cause speaks for."""
    if cause.code == "dtype":
        yield from conversions(scene)
    yield from layouts(scene, case)
    yield from matching_hyperparameters(scene, case)
    yield from dividing(scene, cause, case)
    yield from input_sizes(scene, cause, case)
    yield from resized(scene, cause, producers)
    yield from swapped(scene)


# -- the input -----------------------------------------------------------------------------------------------------


def first_input(scene: Scene) -> tuple[int, ...]:
    for stage in scene.inputs:
        for spec in stage.outputs:
            return spec.shape
    return ()


def dtype_of_input(scene: Scene) -> str:
    return next((spec.dtype for stage in scene.inputs for spec in stage.outputs), "float32")


def conversions(scene: Scene) -> Iterator[Remedy]:
    """The input in the model's dtype; the model in the input's."""
    held = [operand.dtype for operand in scene.operands if operand.parameter]
    held = held or [parameter.dtype for parameter in scene.trace.parameters]
    held = ["int64"] if scene.call == "embedding" else held
    given = dtype_of_input(scene)
    for dtype in dict.fromkeys(held):
        if dtype != given:
            yield Remedy(f"the input as {dtype}: x.to(torch.{dtype})", "input", {"dtype": dtype})
    if given.startswith(("float", "bfloat")):
        yield Remedy(f"the model as {given}: model.to(torch.{given})", "model", {"dtype": given})


def layouts(scene: Scene, case: Case) -> Iterator[Remedy]:
    """A batch axis more or less, channels moved."""
    shape = first_input(scene)
    expected = case.expected
    if expected is not None and len(expected) == len(shape) and plausible(shape, expected):
        return
    for words, steps in layout_steps(shape, expected):
        text = f"{words}: x.{'.'.join(step_text(step) for step in steps)}"
        yield Remedy(text, "input", {"steps": steps})
        moved = after(shape, steps)
        for name, value in built_for(moved, case).items() if len(moved) == 4 else ():
            both: dict[str, Value] = {"steps": steps, "hyperparameters": {name: value}}
            yield Remedy(f"{text} and {case.words(name, value)}", "input", both)


def plausible(shape: Sequence[int], expected: Sequence[int]) -> bool:
    """Whether an input stands the way the model wants it: the channels are where they should be."""
    return len(shape) < 4 or shape[1] == expected[1] or expected[1] not in (shape[0], shape[-1])


def layout_steps(shape: tuple[int, ...], expected: tuple[int, ...] | None) -> Iterator[tuple[str, list[Value]]]:
    """(what it does, tensor methods with their arguments)"""
    colours = {expected[1]} if expected is not None and len(expected) == 4 else set(COLOURS)
    if len(shape) == 4 and shape[-1] in colours and shape[1] not in colours:
        yield "channels moved to the front", [["permute", 0, 3, 1, 2]]
    if len(shape) == 4 and shape[0] in colours and shape[1] not in colours:
        yield "batch and channels exchanged", [["transpose", 0, 1]]
    if len(shape) == 3:
        if shape[-1] in colours and shape[0] not in colours:
            yield "channels moved to the front and a batch axis", [["permute", 2, 0, 1], ["unsqueeze", 0]]
        yield "a batch axis", [["unsqueeze", 0]]
    if len(shape) == 2 and (expected is None or len(expected) == 3):
        yield "a batch axis", [["unsqueeze", 0]]
    if len(shape) == 5:
        axis = next((axis for axis in (0, 1, 2) if shape[axis] == 1), None)
        if axis is not None:
            yield "without the extra axis", [["squeeze", axis]]
        yield "the two batch axes as one", [["flatten", 0, 1]]
    if len(shape) == 1:
        yield "a batch axis", [["unsqueeze", 0]]


def after(shape: tuple[int, ...], steps: Iterable[Value]) -> tuple[int, ...]:
    """The shape once axes are moved, added or taken away."""
    sizes = list(shape)
    for step in steps:
        if not isinstance(step, list):
            continue
        name, *numbers = step
        first, second = (int(str(number)) for number in (*numbers, 0, 0)[:2])
        if name == "permute":
            sizes = [sizes[int(str(axis))] for axis in numbers]
        elif name == "transpose":
            sizes[first], sizes[second] = sizes[second], sizes[first]
        elif name == "unsqueeze":
            sizes.insert(first, 1)
        elif name == "squeeze":
            del sizes[first]
        elif name == "flatten":
            sizes[first : second + 1] = [sizes[first] * sizes[second]]
    return tuple(sizes)


def step_text(step: Value) -> str:
    name, *rest = step if isinstance(step, list) else [step]
    return f"{name}({', '.join(map(str, rest))})"


def swapped(scene: Scene) -> Iterator[Remedy]:
    """Two axes of the input exchanged, where nothing else is known to help."""
    shape = first_input(scene)
    pairs = [(1, 2), (0, 1)] if len(shape) == 3 else [(2, 3)] if len(shape) == 4 else []
    for one, two in pairs:
        if shape[one] != shape[two]:
            yield Remedy(
                f"axes {one} and {two} exchanged: x.transpose({one}, {two})",
                "input",
                {"steps": [["transpose", one, two]]},
            )


def image(shape: Sequence[int]) -> str:
    return f"an input of {shape[2]}×{shape[3]}"


def input_sizes(scene: Scene, cause: Cause, case: Case) -> Iterator[Remedy]:
    """The size the model was made for, sizes that divide, a grid with the right number of patches."""
    shape = first_input(scene)
    if len(shape) != 4:
        if case.expected is not None and shape and len(case.expected) == len(shape):
            yield from shaped(shape, [case.expected])
        return
    if case.expected is not None and len(case.expected) == 4:
        wanted = (shape[0], *case.expected[1:])
        if wanted != shape:
            if wanted[1] != shape[1]:
                yield (
                    Remedy(f"an input of {wanted[1]} channels, {shape_text(wanted)}", "input", {"shape": list(wanted)})
                    if wanted[2:] != shape[2:]
                    else Remedy(f"an input of {wanted[1]} channels", "input", {"shape": list(wanted)})
                )
            else:
                yield Remedy(image(wanted), "input", {"shape": list(wanted)})
    for side in cause.sides:
        if cause.code == "conv-channels" and side.operand is not None and side.operand.parameter:
            yield Remedy(f"an input of {side.size} channels", "input", {"shape": [shape[0], side.size, *shape[2:]]})
    for height, width in chain(asserted(scene, shape), grids(cause, scene, shape), multiples(scene, cause, shape)):
        wanted = (shape[0], shape[1], height, width)
        if wanted != shape:
            yield Remedy(image(wanted), "input", {"shape": list(wanted)})
    if cause.code in ("linear", "norm-size", "conv-channels", "einops-length", "assertion"):
        for channels in COLOURS:
            if channels != shape[1]:
                wanted = (shape[0], channels, *shape[2:])
                yield Remedy(f"an input of {channels} channels", "input", {"shape": list(wanted)})


def shaped(shape: tuple[int, ...], wanted: Iterable[tuple[int, ...]]) -> Iterator[Remedy]:
    for one in wanted:
        if one != shape:
            yield Remedy(f"an input of {shape_text(one)}", "input", {"shape": list(one)})


def asserted(scene: Scene, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Sizes that the raising code speaks of: self.img_size = (224, 224)."""
    if scene.failure.call != "raise":
        return
    for value in scene.failure.values.values():
        if isinstance(value, list) and len(value) == 2 and all(isinstance(one, int) and one >= 16 for one in value):
            yield value[0], value[1]
        elif type(value) is int and value >= 16 and value not in shape:
            yield value, value


def grids(cause: Cause, scene: Scene, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Where one count of tokens is a grid of this input, inputs whose grid gives the other count."""
    sizes = [side.size for side in cause.sides]
    known = {spec.shape[-2:] for stage in scene.trace.stages for spec in stage.outputs if len(spec.shape) == 4}
    known |= {(shape[2] // patch, shape[3] // patch) for patch in (8, 14, 16, 32)}
    for down, across in known:
        if not down or not across or shape[2] % down or shape[3] % across:
            continue
        for have in sizes:
            extra = have - down * across
            if not 0 <= extra <= 8:
                continue
            for want in sizes:
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
    kernels = [one.shape[-1] for one in scene.trace.parameters if len(one.shape) == 4][:1]
    steps = [number * kernel for number in numbers if number > 1 for kernel in (1, *kernels)]
    down, across = shape[2:]
    found = {(rounded(down, step, up), rounded(across, step, up)) for step in (*steps, *ROOT_DIVISORS) for up in (0, 1)}
    yield from sorted(found, key=lambda one: (abs(one[0] - down) + abs(one[1] - across), one))
    for size in sorted(USUAL, key=lambda size: abs(size - shape[2])):
        yield size, size


def rounded(size: int, step: int, up: int) -> int:
    """The multiple of a step next to a size, at least one step."""
    return max(size // step + (up and size % step > 0), 1) * step


# -- hyperparameters and attributes --------------------------------------------------------------------------------


IMAGE_SIZES = ("image_size", "img_size", "input_size", "resolution")
CHANNELS = ("channels", "in_chans", "in_channels", "num_channels", "in_chan")


def matching_hyperparameters(scene: Scene, case: Case) -> Iterator[Remedy]:
    """The model built for the input it is given: its image size, its channels."""
    shape = first_input(scene)
    changes = built_for(shape, case) if len(shape) == 4 else {}
    for name, value in changes.items():
        yield Remedy(case.words(name, value), "hyperparameter", {name: value})
    if len(changes) > 1:
        words = " ".join(case.words(name, value) for name, value in changes.items())
        yield Remedy(words, "hyperparameter", changes)


def built_for(shape: tuple[int, ...], case: Case) -> dict[str, Value]:
    """Hyperparameters with which a model would be built for such images, where they differ from its own."""
    changes: dict[str, Value] = {}
    for name, value in case.hyperparameters.items() if case.variant is not None else ():
        if name in IMAGE_SIZES:
            size: Value = [shape[2], shape[3]] if isinstance(value, list) or shape[2] != shape[3] else shape[2]
            if value not in (size, [shape[2], shape[3]]):
                changes[name] = size
        elif name in CHANNELS and value != shape[1]:
            changes[name] = shape[1]
    return changes


def dividing(scene: Scene, cause: Cause, case: Case) -> Iterator[Remedy]:
    """A number that does not divide, changed to those near it that do."""
    divisor = cause.divisor
    if divisor is None or divisor < 2:
        return
    sizes = {side.size for side in cause.sides} | {
        value for value in scene.failure.values.values() if type(value) is int and value > divisor
    }
    knobs = [name for name, value in case.hyperparameters.items() if value in (divisor, [divisor, divisor])]
    near = [value for value in nearest(divisor) if any(size % value == 0 for size in sizes)]
    for value in near:
        for name in knobs:
            if case.variant is not None:
                yield Remedy(case.words(name, value), "hyperparameter", {name: value})
    if knobs and case.variant is not None:
        return
    module = scene.stage.module if scene.stage is not None else ""
    for name, number in scene.failure.values.items():
        if not name.startswith("self.") or number != divisor:
            continue
        attribute = name.removeprefix("self.")
        path = f"{module}.{attribute}" if module else attribute
        for value in near:
            values: dict[str, Value] = {path: value}
            for other, held in scene.failure.values.items():  # head_dim follows from num_heads
                whole = [size for size in sizes if type(held) is int and size // divisor == held and size % value == 0]
                if other.startswith("self.") and other != name and whole:
                    values[f"{module}.{other.removeprefix('self.')}" if module else other[5:]] = whole[0] // value
            words = ", ".join(f"{key} = {held}" for key, held in values.items())
            yield Remedy(words, "attribute", values)


def nearest(number: int) -> list[int]:
    """Numbers from half to twice this one, by their ratio: for 5 they are 6, 4, 7, 8, 3, …"""
    near = (value for value in range(max(1, number // 2), 2 * number + 1) if value != number)
    return sorted(near, key=lambda value: max(value / number, number / value))


# -- parameters ----------------------------------------------------------------------------------------------------


def resized(scene: Scene, cause: Cause, producers: Sequence[Producer]) -> Iterator[Remedy]:
    """The parameter on one side in the size of the other; first the one whose siblings have that size."""
    if len(cause.sides) != 2:
        return
    first, second = cause.sides
    options = [
        *options_of(scene, first, second.size, producers),
        *options_of(scene, second, first.size, producers),
    ]
    options.sort(key=lambda option: option[0])
    for _, remedy in options:
        yield remedy


def options_of(scene: Scene, side: Side, size: int, producers: Sequence[Producer]) -> Iterator[tuple[int, Remedy]]:
    """(how odd it is, change) for the parameter that one side is, or that made it."""
    operand = side.operand
    if operand is not None and operand.parameter and side.axis is not None:
        held = scene.parameters.get(operand.parameter)
        cut = held is not None and held.shape != operand.shape
        if held is None or len(held.shape) <= side.axis or (cut and held.shape[side.axis] != side.size):
            return
        shape = [*held.shape[: side.axis], size, *held.shape[side.axis + 1 :]]
        yield (
            rank(scene, operand.parameter, side.axis, size),
            parameter_change(scene, operand.parameter, side.axis, shape),
        )
        return
    for made in producers:
        if made.operand != side.name or made.size != side.size or made.stage is None:
            continue
        stage = scene.trace.stages[made.stage]
        weight = scene.parameters.get(f"{stage.module}.weight" if stage.module else "weight")
        if stage.kind == "module" and weight is not None and weight.shape and weight.shape[0] == side.size:
            shape = [size, *weight.shape[1:]]
            yield rank(scene, weight.name, 0, size), parameter_change(scene, weight.name, 0, shape)


def rank(scene: Scene, name: str, axis: int, size: int) -> int:
    """0 where the siblings have the new size, 1 where there are none, 2 where they have the old one."""
    others = siblings(scene.parameters, name, axis)
    if others is None or others.common is None:
        return 1
    return 0 if others.common == size else 2


SIZES_OF = {("Linear", 0): "out_features", ("Linear", 1): "in_features", ("Conv", 0): "out_channels"}
SIZES_OF |= {("Conv", 1): "in_channels", ("LayerNorm", 0): "normalized_shape"}


def parameter_change(scene: Scene, name: str, axis: int, shape: list[int]) -> Remedy:
    """One parameter in another size, and the others of its module that have to follow."""
    path, _, attribute = name.rpartition(".")
    if attribute == "in_proj_weight":
        return attention_change(scene, path, shape[axis])
    old = scene.parameters[name].shape[axis]
    values: dict[str, Value] = {name: shape}
    kind = next(
        (stage.operation for stage in scene.trace.stages if stage.kind == "module" and stage.module == path), ""
    )
    if attribute in ("weight", "bias") and path:
        if axis == 0:
            for other in ("weight", "bias"):
                held = scene.parameters.get(f"{path}.{other}")
                if held is not None and held.shape[:1] == (old,):
                    values[held.name] = [shape[0], *held.shape[1:]]
        word = next((word for (start, at), word in SIZES_OF.items() if kind.startswith(start) and at == axis), "")
        words = f"{path} with {word} {shape[axis]}" if word else f"{name} as {shape_text(shape)}"
        return Remedy(words, "parameter", values)
    if "pos" in name:
        return Remedy(f"{name} interpolated from {grid_text(old)} to {grid_text(shape[axis])}", "parameter", values)
    return Remedy(f"{name} as {shape_text(shape)}", "parameter", values)


def attention_change(scene: Scene, path: str, width: int) -> Remedy:
    """nn.MultiheadAttention of another width, with as many heads."""
    shapes: dict[str, list[int]] = {"in_proj_weight": [3 * width, width], "in_proj_bias": [3 * width]}
    shapes |= {"out_proj.weight": [width, width], "out_proj.bias": [width]}
    heads = scene.integer("[4]", "num_heads", default=1)
    values: dict[str, Value] = {
        f"{path}.{name}": shape for name, shape in shapes.items() if f"{path}.{name}" in scene.parameters
    }
    values |= {f"{path}.{name}": width for name in ("embed_dim", "kdim", "vdim")} | {f"{path}.head_dim": width // heads}
    return Remedy(f"{path} with embed_dim {width}", "parameter", values)


def grid_text(count: int) -> str:
    return f"{count} position{'s' * (count != 1)}"
