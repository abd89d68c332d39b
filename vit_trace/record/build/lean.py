"""Build a model without memory: its constructor runs on the meta device, watched for what it works out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from vit_trace.base.trace import Construction
from vit_trace.record.build.construction import Watch
from vit_trace.record.meta.answer import answer


class Lean(TorchFunctionMode):
    """Answers initialisers and factories by shape rule; everything else goes to torch."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = answer(func, args, kwargs or {})
        return func(*args, **(kwargs or {})) if out is NotImplemented else out


def build_on_meta(factory: Callable[[], nn.Module], rules: bool = True) -> tuple[nn.Module, tuple[Construction, ...]]:
    """(factory(), what its constructors worked out); no parameter is allocated. Raises what the factory raises."""
    watch = Watch()
    with ExitStack() as stack:
        stack.enter_context(torch.device("meta"))
        if rules:
            stack.enter_context(Lean())
        model = watch.run(factory)
    return model, watch.construction(model)
