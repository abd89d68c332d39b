"""Which stage made each tensor that a stage was given: a recorder that follows tensors by identity.

Used to run a failing forward again, on the meta device, after the failure: it keeps every tensor alive while it runs,
which costs nothing there. An ordinary recording does without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from vit_trace.record.meta.tensors import leaves
from vit_trace.record.recorder import UNHEARD, Recorder

Maker = int | str
"""A stage's index, or the name of a parameter or buffer."""

Sources = dict[int, tuple[Maker | None, ...]]
"""By the index of a stage, what made each of its inputs."""


class FlowRecorder(Recorder):
    """A recorder that also notes, for each stage, what made each of its inputs."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.made: dict[int, tuple[Tensor, Maker]] = {}
        self.sources: Sources = {}

    def begin(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Called when the model is: the input stages made the arguments, the model its parameters."""
        for name, tensor in (*self.model.named_buffers(), *self.model.named_parameters()):
            self.made[id(tensor)] = tensor, name
        stages = iter(self.steps)
        for value in (*args, *kwargs.values()):
            tensors = [tensor for _, tensor in leaves(value)]
            stage = next(stages, None) if tensors else None
            for tensor in tensors if stage else ():
                self.note(tensor, stage.index)  # type: ignore[union-attr]

    def note(self, tensor: Tensor, maker: Maker) -> None:
        self.made[id(tensor)] = tensor, maker

    def maker(self, tensor: Tensor) -> Maker | None:
        found = self.made.get(id(tensor))
        if found is None and tensor._base is not None:
            found = self.made.get(id(tensor._base))
        return found[1] if found else None

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().enter(module, args, kwargs)
        with UNHEARD():
            if not self.made:
                self.begin(args, kwargs)
            self.sources[self.steps[-1].index] = tuple(map(self.maker, tensors_of(args, kwargs)))

    def leave(self, module: nn.Module, args: Any, kwargs: Any = None, output: Any = None) -> None:
        index = self.open[-1].index if self.open else None
        super().leave(module, args, kwargs, output)
        if index is not None and self.known[id(module)].opaque:
            with UNHEARD():
                for _, tensor in leaves(output):
                    self.note(tensor, index)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = list(tensors_of(args, kwargs or {}))
        count = len(self.steps)
        try:
            out = super().__torch_function__(func, types, args, kwargs)
        finally:
            if len(self.steps) > count:
                self.sources.setdefault(self.steps[-1].index, tuple(map(self.maker, given)))
        if self.opaque:
            return out
        step = self.steps[-1] if len(self.steps) > count else self.einops_step
        maker = (
            step.index if step is not None else next((one for one in map(self.maker, given) if one is not None), None)
        )
        for _, tensor in leaves(out):
            if maker is not None and not (step is None and id(tensor) in self.made):
                self.note(tensor, maker)
        return out


def tensors_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Tensor]:
    """The tensors of a call, in the order in which they are noted."""
    for value in (*args, *kwargs.values()):
        for _, tensor in leaves(value):
            yield tensor
