"""Says what optimizers keep for each parameter, and what they take besides while they step. No torch.

Bytes are for a parameter of some shape and bytes an element, as the implementation named here has them on a GPU:
foreach where it is the default there. Counters of steps, a number for each parameter, are left out: most lie on
the CPU.
"""

from collections.abc import Callable, Iterable
from math import prod
from typing import NamedTuple


class Trained(NamedTuple):
    """A parameter that is trained: its shape, and bytes an element. Its gradient has the same."""

    shape: tuple[int, ...]
    each: int

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * self.each


class Optimizer(NamedTuple):
    """What it is; tensors of state that it makes for a parameter; tensors that it makes while it steps.

    Temporaries of all parameters are alive together where it is `foreach`, else those of one after the other.
    """

    words: str
    state: Callable[[Trained], list[int]]
    temporary: Callable[[Trained], list[int]] = lambda parameter: []
    foreach: bool = True

    def most_temporary(self, parameters: Iterable[Trained]) -> list[int]:
        """Bytes of the temporaries that are alive together."""
        each = [self.temporary(one) for one in parameters]
        return [size for sizes in each for size in sizes] if self.foreach else max(each, key=sum, default=[])


def _like(times: int) -> Callable[[Trained], list[int]]:
    """So many tensors like the parameter."""
    return lambda parameter: [parameter.bytes] * times


def _eight_bit(parameter: Trained) -> list[int]:
    """Two states of a byte an element and a float32 for each block of 256; float32 below 4096 elements."""
    if parameter.elements < 4096:
        return [4 * parameter.elements] * 2
    return [parameter.elements, 4 * -(-parameter.elements // 256)] * 2


def _factored(parameter: Trained) -> list[int]:
    """A row and a column of each matrix; of vectors the whole."""
    if len(parameter.shape) < 2:
        return [parameter.bytes]
    *outer, rows, columns = parameter.shape
    return [prod(outer) * rows * parameter.each, prod(outer) * columns * parameter.each]


OPTIMIZERS: dict[str, Optimizer] = {
    "adamw": Optimizer("AdamW, foreach as torch chooses on a GPU", _like(2), _like(1)),
    "sgd": Optimizer("SGD without momentum", _like(0)),
    "sgd+momentum": Optimizer("SGD with momentum, foreach as torch chooses on a GPU", _like(1)),
    "adamw8bit": Optimizer("bitsandbytes' AdamW8bit: blocks of 256, float32 below 4096 elements", _eight_bit),
    "lion": Optimizer("timm's Lion, foreach", _like(1), _like(1)),
    "lamb": Optimizer("timm's Lamb, foreach", _like(2), _like(3)),
    "adafactor": Optimizer("torch's Adafactor, one parameter after the other", _factored, _like(1), foreach=False),
    "none": Optimizer("no optimizer", _like(0)),
}
"""https://docs.pytorch.org/docs/stable/optim.html, https://huggingface.co/docs/bitsandbytes/reference/optim/adamw,
https://huggingface.co/docs/timm/reference/optimizers"""
