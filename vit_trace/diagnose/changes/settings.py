"""Another hyperparameter, or an attribute of a module that takes its place. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from vit_trace.base.trace import Value
from vit_trace.diagnose.cause import Cause
from vit_trace.diagnose.changes.inputs import built_for, first_input
from vit_trace.diagnose.changes.parameters import LIKEWISE, other_blocks
from vit_trace.diagnose.changes.records import AttributeChange, Fix
from vit_trace.diagnose.scene import Scene
from vit_trace.diagnose.trials import Case


def matching_hyperparameters(scene: Scene, case: Case) -> Iterator[Fix]:
    """The model built for the input it is given: its image size, its channels."""
    shape = first_input(scene)
    changes = built_for(shape, case) if len(shape) == 4 else {}
    for name, value in changes.items():
        yield case.setting({name: value})
    if len(changes) > 1:
        yield case.setting(changes)


def dividing(scene: Scene, cause: Cause, case: Case) -> Iterator[Fix]:
    """A number that does not divide, changed to those near it that do."""
    divisor = cause.divisor
    if divisor is None or divisor < 2:
        return
    sizes = {side.size for side in cause.sides} | {
        value for value in scene.failure.values.values() if type(value) is int and value > divisor
    }
    knobs = [name for name, value in case.hyperparameters.items() if value in (divisor, [divisor, divisor])]
    near = [value for value in nearest(divisor) if any(size % value == 0 for size in sizes - {divisor})]
    for value in near:
        for name in knobs:
            if case.variant is not None:
                yield case.setting({name: value})
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
            yield AttributeChange(words, values)
            others = other_blocks(scene, module) if module else []
            if others:
                alike = {f"{other}{key.removeprefix(module)}": held for other in others for key, held in values.items()}
                yield AttributeChange(f"{words}{LIKEWISE}", {**values, **alike})


def nearest(number: int) -> list[int]:
    """Numbers from half to twice this one, by their ratio: for 5 they are 6, 4, 7, 8, 3, …"""
    near = (value for value in range(max(1, number // 2), 2 * number + 1) if value != number)
    return sorted(near, key=lambda value: max(value / number, number / value))
