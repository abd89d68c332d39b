"""Runs a forward without memory with attention as on a real device and casts as in autocast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from vit_trace.memory.attention import attended
from vit_trace.memory.casts import Casts


class Functions(TorchFunctionMode):
    """Sees what the model calls. Entering it again inside itself changes nothing."""

    def __init__(self, casts: Casts | None = None) -> None:
        super().__init__()
        self.casts = casts
        self.depth = 0

    @contextmanager
    def on(self) -> Iterator[None]:
        """The mode, with the casts of parameters forgotten at the end, as on leaving autocast."""
        if self.depth:
            yield
            return
        self.depth = 1
        try:
            with self:
                yield
        finally:
            self.depth = 0
            if self.casts is not None:
                self.casts.cache.clear()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            with body_of_functional(), self:
                return func(*args, **kwargs)
        if self.casts is not None:
            args, kwargs = self.casts(func, args, kwargs)
        if func is F.scaled_dot_product_attention:
            return attended(*args, **kwargs)
        return func(*args, **kwargs)


@contextmanager
def body_of_functional() -> Iterator[None]:
    """Let a function of torch.nn.functional run its Python although a mode is on, which then sees what it calls."""
    names = vars(F)
    kept = names["has_torch_function"]
    names["has_torch_function"] = lambda *tensors: False
    try:
        yield
    finally:
        names["has_torch_function"] = kept
