"""Names the tensor methods that a change applies, and works out the shape after them. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vit_trace.base.trace import Value

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """A method of a tensor with its arguments: transpose(1, 2)."""

    method: str
    numbers: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.method}({', '.join(map(str, self.numbers))})"

    def json(self) -> list[Value]:
        return [self.method, *self.numbers]


def transpose(one: int, two: int) -> Step:
    return Step("transpose", (one, two))


def permute(*axes: int) -> Step:
    return Step("permute", axes)


def unsqueeze(axis: int) -> Step:
    return Step("unsqueeze", (axis,))


def expand(*sizes: int) -> Step:
    return Step("expand", sizes)


def flatten(*axes: int) -> Step:
    return Step("flatten", axes)


def shape_after(shape: Shape, steps: Iterable[Step]) -> Shape:
    """The shape once axes are moved, added or removed."""
    sizes = list(shape)
    for step in steps:
        first, second = (*step.numbers, 0, 0)[:2]
        if step.method == "permute":
            sizes = [sizes[axis] for axis in step.numbers]
        elif step.method == "transpose":
            sizes[first], sizes[second] = sizes[second], sizes[first]
        elif step.method == "unsqueeze":
            sizes.insert(first, 1)
        elif step.method == "squeeze":
            del sizes[first]
        elif step.method == "flatten":
            sizes[first : second + 1] = [sizes[first] * sizes[second]]
    return tuple(sizes)
