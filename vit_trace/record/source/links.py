"""Which stage made this tensor? Remembered by identity while the forward runs; keeps no tensor alive."""

from __future__ import annotations

from weakref import ref

from torch import Tensor, nn

from vit_trace.record.meta.tensors import leaves

Link = tuple[int, int] | str | None
"""(index of the stage, place among its outputs), the name of a parameter, or not known."""

SHAPE_KEPT = {
    *("detach", "detach_", "contiguous", "clone", "requires_grad_", "to", "type", "float", "half", "bfloat16"),
    *("double", "int", "long", "bool", "dropout", "type_as", "cpu", "cuda", "alpha_dropout"),
}
"""Functions that are no stage and never change a shape: what they give is linked as what they were given."""


class Links:
    """Tensors alive and what made each of them."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[ref[Tensor], Link]] = {}

    def parameters(self, model: nn.Module) -> None:
        for name, parameter in model.named_parameters():
            self.held[id(parameter)] = ref(parameter), name

    def note(self, stage: int, value: object) -> None:
        """The tensors in `value` are the outputs of the stage, in their own order."""
        if isinstance(value, Tensor):
            self.held[id(value)] = ref(value), (stage, 0)
            return
        for place, (_, tensor) in enumerate(leaves(value)):
            self.held[id(tensor)] = ref(tensor), (stage, place)

    def copy(self, given: object, made: object) -> None:
        """`made` has by nature the shape of `given`."""
        if isinstance(given, Tensor) and isinstance(made, Tensor) and given is not made:
            self.held[id(made)] = ref(made), self.of(given)

    def of(self, tensor: Tensor) -> Link:
        known = self.held.get(id(tensor))
        return known[1] if known is not None and known[0]() is tensor else None
