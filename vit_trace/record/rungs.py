"""Build and run what meta alone cannot: each rung gives up as little as it can, and nobody has to ask for it.

Building: on meta; on meta with linspace, arange and the like on CPU; on CPU without initialising, then moved to meta.
Running: on meta; integers on CPU and the rest on meta; under FakeTensorMode; on CPU for real, if the model is small.
The next rung is taken only where the exception is meta's and not the model's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from vit_trace.base.trace import Trace
from vit_trace.record.build.anyhow import Built, build_on_cpu, change, moved, tensors_of
from vit_trace.record.record import GUESSED, record

SMALL = 400_000_000
"""Parameters up to which a model may run for real."""


METAS_WORDS = ("meta", "Meta", "DataDependent", "FakeTensor", "unbacked", "data-dependent", "DynamicOutputShape")
"""Words of exceptions that speak of what meta or fake tensors cannot do."""


Given = tuple[tuple[Any, ...], dict[str, Any]]


class Meeting(TorchFunctionMode):
    """Takes tensors that kept their values to meta where they meet one that has none: an index may keep them."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") not in INDEXING:
            tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
            if len(tensors) > 1 and any(one.is_meta for one in tensors) and not all(one.is_meta for one in tensors):
                args, kwargs = placed(args, kwargs, "meta")
        return func(*args, **kwargs)


INDEXING = {"__getitem__", "__setitem__", "index_put", "index_put_", "__get__"}


def trace_anyhow(
    built: Built,
    inputs: Callable[[], Given],
    rebuild: Callable[[], object],
    rules: bool = True,
    rungs: Sequence[int] = range(5),
    **about: Any,
) -> tuple[Trace, int]:
    """(trace, rung) of one forward on the first rung that carries it.

    Args:
        built: the model to start with.
        inputs: gives (args, kwargs): floats on meta, integers on CPU with the values they should have.
        rebuild: makes the model again, for the rungs that need values.
        rungs: which to try; a forward that none carries gives the trace on the first.
        about: what else `record` takes.
    """
    args, kwargs = inputs()
    first: Trace | None = None
    for rung in rungs:
        try:
            trace = RUNGS[rung](built, rebuild, args, kwargs, {"rules": rules, **about})
        except Exception:  # a rung that breaks is one that does not carry
            if first is None:
                raise
            continue
        if trace is not None and not stopped_by_meta(trace):
            return trace, rung
        first = first or trace
    assert first is not None
    return first, rungs[0]


def stopped_by_meta(trace: Trace) -> bool:
    """Whether a forward failed for what meta or fake tensors cannot do; torch's own words are in the failure."""
    return trace.failure is not None and any(word in trace.failure.exception for word in METAS_WORDS)


About = Mapping[str, Any]
Rebuild = Callable[[], object]


def on_meta(built: Built, rebuild: Rebuild, args: tuple[Any, ...], kwargs: dict[str, Any], about: About) -> Trace:
    """All on meta; where a guess at a condition led to an exception, the other guess."""
    args, kwargs = placed(args, kwargs, "meta")
    trace = record(built.model, args, kwargs, **about)
    if trace.failure is not None and any(note.code == GUESSED for note in trace.diagnostics):
        other = record(built.model, args, kwargs, truth=False, **about)
        return other if other.failure is None else trace
    return trace


def with_inputs(
    built: Built, rebuild: Rebuild, args: tuple[Any, ...], kwargs: dict[str, Any], about: About
) -> Trace | None:
    """The model on meta, integer and boolean inputs, whose values may decide shapes, on CPU."""
    if not any(not tensor.is_meta for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)):
        return None
    with Meeting():
        return record(built.model, args, kwargs, **about)


def with_integers(built: Built, rebuild: Rebuild, args: tuple[Any, ...], kwargs: dict[str, Any], about: About) -> Trace:
    """Floats on meta; all integers and booleans, the model's own among them, on CPU."""
    model = moved(build_on_cpu(rebuild), keep_integers=True).model
    with Meeting():
        return record(model, args, kwargs, **about)


def under_fake(built: Built, rebuild: Rebuild, args: tuple[Any, ...], kwargs: dict[str, Any], about: About) -> Trace:
    """Tensors that say they are on CPU and hold nothing."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    model = build_on_cpu(rebuild).model
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        for module in model.modules():
            change(module._parameters, fake.from_tensor)
            change(module._buffers, fake.from_tensor)
        args, kwargs = tree_map_only(Tensor, lambda tensor: fake.from_tensor(real(tensor)), (args, kwargs))
        return record(model, args, kwargs, **{**about, "rules": False})


def for_real(
    built: Built, rebuild: Rebuild, args: tuple[Any, ...], kwargs: dict[str, Any], about: About
) -> Trace | None:
    """Everything on CPU, if the model is small enough."""
    if sum(tensor.numel() for tensor in tensors_of(built.model)) > SMALL:
        return None
    model = build_on_cpu(rebuild, real=True).model
    args, kwargs = tree_map_only(Tensor, real, (args, kwargs))
    return record(model, args, kwargs, **{**about, "rules": False})


RUNGS = (on_meta, with_inputs, with_integers, under_fake, for_real)
DEVICES = ("meta", "meta", "meta", "fake", "cpu")
FAKE = 3
"""The first rung on which a forward takes as long as a real one, or nearly."""


def real(tensor: Tensor) -> Tensor:
    """The tensor with values: its own, or random ones in place of meta's."""
    if not tensor.is_meta:
        return tensor
    if tensor.is_floating_point():
        return torch.rand(tensor.shape, dtype=tensor.dtype)
    return torch.ones(tensor.shape, dtype=tensor.dtype)


def placed(args: tuple[Any, ...], kwargs: dict[str, Any], device: str) -> Given:
    """The inputs with all their tensors on one device."""
    moved_args, moved_kwargs = tree_map_only(Tensor, lambda tensor: tensor.to(device), (args, kwargs))
    return moved_args, moved_kwargs
