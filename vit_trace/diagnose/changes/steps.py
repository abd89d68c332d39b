"""Names the tensor methods that a change applies, and works out the shape after them. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass

from vit_trace.base.trace import Value

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Method:
    """A method of a tensor with its arguments: transpose(1, 2)."""

    name: str
    numbers: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.numbers))})"

    def json(self) -> list[Value]:
        return [self.name, *self.numbers]


def method(name: str, *numbers: int) -> Method:
    return Method(name, numbers)


def shape_after(shape: Shape, steps: Iterable[Method]) -> Shape:
    """The shape once axes are moved, added or removed."""
    sizes = list(shape)
    for step in steps:
        first, second = (*step.numbers, 0, 0)[:2]
        if step.name == "permute":
            sizes = [sizes[axis] for axis in step.numbers]
        elif step.name == "transpose":
            sizes[first], sizes[second] = sizes[second], sizes[first]
        elif step.name == "unsqueeze":
            sizes.insert(first, 1)
        elif step.name == "squeeze":
            del sizes[first]
        elif step.name == "flatten":
            sizes[first : second + 1] = [sizes[first] * sizes[second]]
    return tuple(sizes)
