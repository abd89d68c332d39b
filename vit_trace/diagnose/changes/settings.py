"""Changes hyperparameters, or the attributes of modules that hold them. No torch."""

from collections.abc import Iterator, Mapping
from itertools import product

from vit_trace.base.numbers import numbers_near
from vit_trace.base.roles import role_named
from vit_trace.base.trace import Value
from vit_trace.diagnose.cause import Question
from vit_trace.diagnose.changes.inputs import built_for, first_input
from vit_trace.diagnose.changes.parameters import LIKEWISE, other_blocks
from vit_trace.diagnose.changes.records import AttributeChange, Fix, InputChange
from vit_trace.diagnose.scene import Scene

LEAST, TIMES = 8, 4
"""Numbers of a setting that may count an axis of the input: from the least on, and within so many times its size."""

SIMPLE = (2.0, 1.0, 4.0, 0.5, 3.0, 1.5)
"""Values that a setting which is a fraction often has."""


def matching_hyperparameters(question: Question) -> Iterator[Fix]:
    """Builds the model for its input: its image size, its channels."""
    shape, case = first_input(question.scene), question.case
    changes = built_for(shape, case)
    for name, value in changes.items():
        yield case.setting({name: value})
    if len(changes) > 1:
        yield case.setting(changes)


def dividing_numbers(question: Question) -> Iterator[Fix]:
    """Changes a number that does not divide to a near one that does."""
    scene, case, divisor = question.scene, question.case, question.cause.divisor
    if divisor is None or divisor < 2:
        return
    sizes = {side.size for side in question.cause.sides}
    sizes |= {size for size in scene.whole_numbers.values() if size > divisor}
    near = [value for value in numbers_near(divisor) if any(size % value == 0 for size in sizes - {divisor})]
    held = {name: value if isinstance(value, list) else [value] for name, value in case.hyperparameters.items()}
    names = [name for name, values in held.items() if divisor in values]
    if names and case.variant is not None:
        for value, name in product(near, names):
            sides = [value if one == divisor else one for one in held[name]]
            yield case.setting({name: sides if isinstance(case.hyperparameters[name], list) else value})
        return
    module = scene.stage.module if scene.stage is not None else ""
    for name, number in scene.whole_numbers.items():
        if name.startswith("self.") and number == divisor:
            for value in near:
                yield from _in_all_blocks(scene, module, {name: value} | _derived(scene, sizes, name, value))


def proportional(question: Question) -> Iterator[Fix]:
    """A setting that one of two sizes is a multiple of, or a multiple of its square, so that it becomes the other.

    3 for 96, so 2 for 64; 14 for 196, so 7 for 49.
    """
    case, sizes = question.case, [side.size for side in question.cause.sides]
    for name, value in case.hyperparameters.items() if case.variant is not None and len(sizes) == 2 else ():
        if type(value) is not int or value < 2 or role_named(name) in ("image", "patch"):
            continue
        for power, (one, two) in product((1, 2), (sizes, sizes[::-1])):
            each, rest = divmod(one, value**power)
            wanted = round((two / each) ** (1 / power)) if each else 0
            if not rest and wanted and wanted**power * each == two:
                yield case.setting({name: wanted})


def lengths_of_input(question: Question) -> Iterator[Fix]:
    """A setting of no known role, such as target_length, as long as an axis of the input, then the other way round."""
    case, shape = question.case, first_input(question.scene)
    known = len(shape) == 5 or (len(shape) == 4 and any(role_named(name) == "image" for name in case.hyperparameters))
    settings = case.hyperparameters.items() if case.variant is not None and not known else ()
    lengths = [(name, value) for name, value in settings if type(value) is int and not role_named(name)]
    pairs = [
        (name, value, axis)
        for name, value in lengths
        for axis, size in enumerate(shape)
        if axis and value not in shape and min(value, size) >= LEAST and max(value, size) <= TIMES * min(value, size)
    ]
    yield from (case.setting({name: shape[axis]}) for name, _, axis in pairs)
    yield from (InputChange.sized((*shape[:axis], value, *shape[axis + 1 :])) for _, value, axis in pairs)


def simple_fractions(question: Question) -> Iterator[Fix]:
    """Other simple values of a setting that is a fraction, such as a rate of growth: the sizes decide which will do."""
    case = question.case
    for name, value in case.hyperparameters.items() if case.variant is not None else ():
        if isinstance(value, float) and value > 0 and len(question.cause.sides) == 2:
            yield from (case.setting({name: other}) for other in SIMPLE if other != value)


def _derived(scene: Scene, sizes: set[int], name: str, value: int) -> dict[str, Value]:
    """Attributes that follow from another one and its new value: head_dim from num_heads."""
    found: dict[str, Value] = {}
    divisor = scene.whole_numbers[name]
    for other, held in scene.whole_numbers.items():
        whole = next((size for size in sizes if size // divisor == held and size % value == 0), None)
        if other.startswith("self.") and other != name and whole is not None:
            found[other] = whole // value
    return found


def _in_all_blocks(scene: Scene, module: str, changed: Mapping[str, Value]) -> Iterator[Fix]:
    """Attributes of one module, by their names in its code (self.heads); then also of its namesakes in other blocks."""
    paths = {name.replace("self", module, 1).removeprefix("."): value for name, value in changed.items()}
    text = ", ".join(f"{path} = {value}" for path, value in paths.items())
    yield AttributeChange(text, paths)
    if others := other_blocks(scene, module) if module else []:
        more = {f"{other}{path.removeprefix(module)}": value for other in others for path, value in paths.items()}
        yield AttributeChange(f"{text}{LIKEWISE}", {**paths, **more})
