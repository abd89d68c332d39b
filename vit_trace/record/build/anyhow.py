"""Builds a model without memory, on the first rung that works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vit_trace.base.trace import Construction
from vit_trace.record.build.construction import Call, Watch
from vit_trace.record.build.lean import Lean

VALUED = {torch.linspace, torch.arange, torch.rand, torch.randint, torch.randperm, torch.logspace, torch.tensor}
"""Factories whose values constructors ask for."""

BUILD_RUNGS = 3

FILLS = {"normal_", "uniform_", "trunc_normal_", "erfinv_", "bernoulli_", "exponential_", "log_normal_", "cauchy_"}


class NotAModel(Exception):
    """The factory returned something that is no torch.nn.Module; `value` is what it was."""

    def __init__(self, value: object) -> None:
        super().__init__(f"got {type(value).__name__}")
        self.value = value


@dataclass(frozen=True)
class Built:
    """A model without memory, what its constructors worked out and were called with, and what it was built on."""

    model: nn.Module
    construction: tuple[Construction, ...]
    call: Call | None
    rung: int = 0


class Values(TorchFunctionMode):
    """Makes tensors that constructors read values of on CPU."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in VALUED and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": "cpu"}
        return func(*args, **kwargs)


class Empty(TorchFunctionMode):
    """Leaves parameters as they were allocated: memory that nobody touches is never taken."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        target = args[0] if args else kwargs.get("tensor")
        named = getattr(func, "__module__", None) == "torch.nn.init" or getattr(func, "__name__", "") in FILLS
        if named and isinstance(target, nn.Parameter):
            return target
        return func(*args, **kwargs)


def build_anyhow(factory: Callable[[], object], rules: bool = True) -> Built:
    """factory(), on the first rung that carries it. Raises what the factory raises on CPU, and NotAModel."""
    first: Exception | None = None
    for rung in range(BUILD_RUNGS):
        try:
            return build_at(rung, factory, rules)
        except NotAModel:
            raise
        except Exception as error:
            if rung == BUILD_RUNGS - 1:
                raise
            first = first or error
    raise AssertionError("no rung") from first


def build_at(rung: int, factory: Callable[[], object], rules: bool = True) -> Built:
    """factory() on one rung: on meta, on meta with some values on CPU, on CPU and then moved. Raises what it raises."""
    if rung == 0:
        return build_on(factory, *([Lean()] if rules else []))
    built = build_on(factory, Values()) if rung == 1 else build_on_cpu(factory)
    return replace(moved(built, keep_integers=False), rung=rung)


def build_on(factory: Callable[[], object], *modes: TorchFunctionMode) -> Built:
    """factory() on meta under the given modes."""
    with ExitStack() as stack:
        stack.enter_context(torch.device("meta"))
        for mode in modes:
            stack.enter_context(mode)
        return watched(factory)


def build_on_cpu(factory: Callable[[], object], real: bool = False) -> Built:
    """factory() on CPU, its parameters initialised only if they are to be `real`."""
    with ExitStack() as stack:
        stack.enter_context(torch.device("cpu"))
        if not real:
            stack.enter_context(Empty())
        return watched(factory)


def watched(factory: Callable[[], object]) -> Built:
    watch = Watch()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        model = watch.run(factory)  # type: ignore[arg-type]  # checked on the next line
    if not isinstance(model, nn.Module):
        raise NotAModel(model)
    return Built(model, watch.construction(model), watch.call(model))


def tensors_of(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def moved(built: Built, keep_integers: bool) -> Built:
    """The same model with its tensors on meta; ties between parameters stay. Integers may keep their values."""
    done: dict[int, Tensor] = {}

    def to_meta(tensor: Tensor) -> Tensor:
        if tensor.is_meta or (keep_integers and not tensor.is_floating_point() and not tensor.is_complex()):
            return tensor
        if id(tensor) not in done:
            bare = tensor.detach().to("meta")
            done[id(tensor)] = nn.Parameter(bare, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare
        return done[id(tensor)]

    for module in built.model.modules():
        change(module._parameters, to_meta)
        change(module._buffers, to_meta)
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor):
                vars(module)[name] = to_meta(value)
    return built


def change(held: dict[str, Any], how: Callable[[Any], Any]) -> None:
    """Replace the tensors that a module holds."""
    held.update({name: how(tensor) for name, tensor in held.items() if tensor is not None})
