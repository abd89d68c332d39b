"""Remembers which stage or parameter made each tensor, by identity while a forward runs; keeps no tensor alive."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from weakref import ref

from torch import Tensor, nn

from vit_trace.record.meta.tensors import leaves

SHAPE_KEPT = {
    *("detach", "detach_", "contiguous", "clone", "requires_grad_", "to", "type", "float", "half", "bfloat16"),
    *("double", "int", "long", "bool", "dropout", "type_as", "cpu", "cuda", "alpha_dropout"),
}
"""Functions that are not a stage and never change a shape."""


class Maker(NamedTuple):
    """What made a tensor: a stage, by its index, or a parameter or buffer, by its name.

    `output` is the tensor's place among the stage's outputs; None for a tensor that was taken from those outputs, or
    from the parameter, and may have another shape.
    """

    by: int | str
    output: int | None = 0


class Makers:
    """What made the tensors that are alive. `inputs` holds, by a stage's index, what made each of its inputs."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[ref[Tensor], Maker]] = {}
        self.inputs: dict[int, tuple[Maker | None, ...]] = {}

    def hold_model(self, model: nn.Module) -> None:
        """Name the model's parameters and buffers as their own makers."""
        for name, tensor in (*model.named_buffers(), *model.named_parameters()):
            self.held[id(tensor)] = ref(tensor), Maker(name)

    def known(self, tensor: Tensor) -> Maker | None:
        found = self.held.get(id(tensor))
        return found[1] if found is not None and found[0]() is tensor else None

    def of(self, tensor: Tensor) -> Maker | None:
        """The tensor's maker; else the maker of the tensor it is a view of."""
        found = self.known(tensor)
        if found is None and tensor._base is not None and (base := self.known(tensor._base)) is not None:
            return base._replace(output=None)
        return found

    def note_inputs(self, stage: int, tensors: Iterable[Tensor]) -> None:
        """A stage is given tensors. What is noted first counts."""
        if stage not in self.inputs:
            self.inputs[stage] = tuple(map(self.of, tensors))

    def feeding(self, stage: int) -> tuple[int | str | None, ...]:
        """For each input of a stage, the stage or the parameter that made it."""
        return tuple(None if maker is None else maker.by for maker in self.inputs.get(stage, ()))

    def note_outputs(self, stage: int, value: object, new_only: bool = False) -> None:
        """The tensors in `value` are the outputs of the stage, in their own order; perhaps only those not yet known."""
        for place, (_, tensor) in enumerate(leaves(value)):
            if not new_only or self.known(tensor) is None:
                self.held[id(tensor)] = ref(tensor), Maker(stage, place)

    def hand_on(self, function: str, given: Iterable[Tensor], value: object) -> None:
        """A function that is not a stage made `value`: it comes from what made the first tensor given."""
        for place, maker in enumerate(map(self.of, given)):
            if maker is not None:
                made = maker if place == 0 and function in SHAPE_KEPT else maker._replace(output=None)
                for _, tensor in leaves(value):
                    if self.known(tensor) is None:
                        self.held[id(tensor)] = ref(tensor), made
                return


def tensors_given(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Tensor]:
    """The tensors of a call, in the order of its inputs in the trace."""
    return (tensor for value in (*args, *kwargs.values()) for _, tensor in leaves(value))
