"""A forward run with one call of it changed: a layer's input, or a function that the model's source calls.

Of a function, the call that raises is the one that is changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from vit_trace.base.trace import Remedy, Value
from vit_trace.record.source import frames

FRAMES = 40
"""Frames of torch and of ours between a call and the model's line."""


@contextmanager
def amended(remedy: Remedy | None, model: nn.Module) -> Iterator[None]:
    """While it lasts, a remedy of kind "call" is applied; nothing is for any other."""
    if remedy is None or remedy.kind != "call":
        yield
    elif isinstance(paths := remedy.values.get("modules"), list):
        steps = remedy.values["steps"]
        with ExitStack() as stack:
            for path in paths:
                layer = model.get_submodule(path)
                hook = layer.register_forward_pre_hook(lambda _, args: (turned(args[0], steps), *args[1:]))
                stack.callback(hook.remove)
            yield
    else:
        with Amended(remedy.values):
            yield


def turned(tensor: Tensor, steps: Value) -> Tensor:
    """The tensor after methods with their arguments."""
    assert isinstance(steps, list)
    for name, *rest in steps:
        tensor = getattr(tensor, name)(*rest)
    return tensor


class Amended(TorchFunctionMode):
    """Hears every torch function; where the one that is meant raises, it is called again with the change."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        super().__init__()
        self.values = values

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        try:
            return func(*args, **kwargs)
        except Exception:
            if getattr(func, "__name__", "") != self.values["call"] or not self.made_there(sys._getframe(1)):
                raise
            args, kwargs = change(self.values, args, kwargs)
            return func(*args, **kwargs)

    def made_there(self, frame: FrameType | None) -> bool:
        """Whether the call was made by the expression that is meant."""
        for _ in range(FRAMES):
            if frame is None:
                return False
            if frame.f_code.co_filename == self.values["file"]:
                at = frames.span(frame.f_code, frame.f_lasti)
                if at is not None and [at.line, at.column, at.end_line, at.end_column] == self.values["span"]:
                    return True
            frame = frame.f_back
        return False


def change(
    values: Mapping[str, Value], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The call's arguments with the change: `arguments` by name, or `steps` on the tensor that `operand` counts to."""
    if isinstance(named := values.get("arguments"), dict):
        return args[:1], {**{name: value for name, value in kwargs.items() if name not in named}, **named}
    flat, tree = tree_flatten((args, kwargs))
    tensors = [place for place, value in enumerate(flat) if isinstance(value, Tensor)]
    operand = values["operand"]
    assert isinstance(operand, int)
    flat[tensors[operand]] = turned(flat[tensors[operand]], values["steps"])
    args, kwargs = tree_unflatten(flat, tree)
    return args, kwargs
