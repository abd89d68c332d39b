"""Runs a model without memory: on the first rung of a ladder from plain meta to a real CPU that works.

The next rung is taken only where the exception is meta's and not the model's own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from logging import Logger
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from vit_trace.base import network
from vit_trace.base.refused import Refused
from vit_trace.base.trace import Trace
from vit_trace.base.words import OF_TORCHSCRIPT, message_text
from vit_trace.record.build.anyhow import INITIALISED, UNINITIALISED, Factory, Handled, change_tensors, move_to_meta
from vit_trace.record.build.captured import holds_fixed_program
from vit_trace.record.meta.real import BY_DEVICE
from vit_trace.record.raised.failure import OURS
from vit_trace.record.record import GUESSED, RecordOptions, record

SMALL = 400_000_000
"""Parameters above which a model is not run for real."""

INDEXING = {"__getitem__", "__setitem__", "index_put", "index_put_", "__get__"}

Given = tuple[tuple[Any, ...], dict[str, Any]]
"""The (args, kwargs) of a forward."""


class _Unsuited(Exception):
    """The rung is not one for this model or these inputs."""


@dataclass(frozen=True)
class Runnable:
    """A model on meta, and how to make it again for the rungs that need values."""

    model: nn.Module
    make: Factory


class Ready(NamedTuple):
    """A model and inputs that it can be run on."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Rung:
    """One way to run a model. `ready` takes the model and its inputs there, for as long as the context lasts.

    The inputs are floats on meta, and integers on CPU with the values they should have. `mixes`: tensors with and
    without values meet. `rules`: shape rules can answer. `quick`: a forward takes far less time than a real one.
    """

    device: str
    ready: Callable[[Runnable, Given], AbstractContextManager[Ready]]
    mixes: bool = False
    rules: bool = True
    quick: bool = True


@contextmanager
def _on_meta(runnable: Runnable, given: Given) -> Iterator[Ready]:
    """All on meta."""
    yield Ready(runnable.model, *move_inputs(given, "meta"))


@contextmanager
def _with_inputs(runnable: Runnable, given: Given) -> Iterator[Ready]:
    """The model on meta; integer and boolean inputs, whose values may decide shapes, on CPU."""
    if all(tensor.is_meta for tensor in tree_leaves(given) if isinstance(tensor, Tensor)):
        raise _Unsuited
    yield Ready(runnable.model, *given)


@contextmanager
def _with_integers(runnable: Runnable, given: Given) -> Iterator[Ready]:
    """Floats on meta; all integers and booleans, also the model's own, on CPU."""
    model = UNINITIALISED.build(runnable.make).model
    move_to_meta(model, keep_integers=True)
    yield Ready(model, *given)


@contextmanager
def _unlogged(log: Logger) -> Iterator[None]:
    """Keeps a log quiet: what torch writes there is raised as well, and told."""
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


@contextmanager
def _under_fake(runnable: Runnable, given: Given) -> Iterator[Ready]:
    """Tensors that say they are on CPU and hold nothing."""
    from torch._subclasses.fake_tensor import FakeTensorMode, log

    model = UNINITIALISED.build(runnable.make).model
    with _unlogged(log), FakeTensorMode(allow_non_fake_inputs=True) as fake:

        def faked(tensor: Tensor) -> Tensor:
            if not tensor.is_meta:
                return fake.from_tensor(tensor)
            return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)

        change_tensors(model, fake.from_tensor)
        yield Ready(model, *tree_map_only(Tensor, faked, given))


@contextmanager
def _for_real(runnable: Runnable, given: Given) -> Iterator[Ready]:
    """Everything on CPU, if the model is small enough."""
    if sum(tensor.numel() for tensor in (*runnable.model.parameters(), *runnable.model.buffers())) > SMALL:
        raise _Unsuited
    fixed = holds_fixed_program(runnable.model)  # with values as it is, and slow to be captured again
    yield Ready(runnable.model if fixed else INITIALISED.build(runnable.make).model, *filled_inputs(given))


ON_META = Rung("meta", _on_meta)
RUNGS = (
    ON_META,
    Rung("meta", _with_inputs, mixes=True),
    Rung("meta", _with_integers, mixes=True),
    Rung("fake", _under_fake, rules=False, quick=False),
    Rung("cpu", _for_real, rules=False, quick=False),
)
"""From the quickest to the one that every forward can take."""


def _filled(tensor: Tensor) -> Tensor:
    """The tensor with values: its own, or random ones in place of meta's."""
    make: Callable[..., Tensor] = torch.rand if tensor.is_floating_point() else torch.ones
    return make(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else tensor


def filled_inputs(given: Given) -> Given:
    """The inputs with values."""
    args, kwargs = tree_map_only(Tensor, _filled, given)
    return args, kwargs


def move_inputs(given: Given, device: str) -> Given:
    """The inputs with all their tensors on one device."""
    args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to(device), given)
    return args, kwargs


def _meeting(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Moves tensors with values to meta where they meet one that has none: an index may keep them."""
    if getattr(func, "__name__", "") not in INDEXING:
        metas = {one.is_meta for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        if len(metas) > 1:
            args, kwargs = move_inputs((args, kwargs), "meta")
    return func(*args, **kwargs)


def mixed() -> AbstractContextManager[Any]:
    """Tensors with values and tensors on meta may meet: the former move there."""
    return Handled(_meeting)


OURS.update((Handled.__torch_function__.__code__, _meeting.__code__))


class _Traced(NamedTuple):
    """A trace, and the rung that it was made on."""

    trace: Trace
    rung: Rung


def trace_anyhow(
    runnable: Runnable, inputs: Callable[[], Given], options: RecordOptions, rungs: Sequence[Rung] = RUNGS
) -> _Traced:
    """The trace of one forward on the first rung that can run it; where none can, on the first."""
    given = inputs()
    first: _Traced | None = None
    faked: _Traced | None = None
    for rung in rungs:
        try:
            trace = _trace_on(rung, runnable, given, options)
        except Refused:  # a limit is none of meta's
            raise
        except Exception:  # a rung that breaks is one that cannot run it
            if first is None:
                raise
            continue
        words = trace.failure.exception if trace.failure is not None else ""
        asked = trace.failure is not None and trace.failure.code == network.CODE
        scripted = OF_TORCHSCRIPT in words and rung.device != "cpu"  # no rule of ours is heard there
        if asked or not (scripted or any(word in message_text("", words) for word in BY_DEVICE)):
            if trace.failure is None or rung.device != "fake":
                return _Traced(trace, rung)
            faked = _Traced(trace, rung)  # numpy and quantized kernels refuse fake tensors in words of their own
        first = first or _Traced(trace, rung)
    assert first is not None
    return faked or first


def _trace_on(rung: Rung, runnable: Runnable, given: Given, options: RecordOptions) -> Trace:
    """The trace on one rung; on meta, where a guess at a condition led to an exception, with the other guess."""
    options = options if rung.rules else replace(options, rules=False)
    with rung.ready(runnable, given) as ready, mixed() if rung.mixes else nullcontext():
        trace = record(*ready, options)
        if rung is ON_META and trace.failure is not None and any(note.code == GUESSED for note in trace.diagnostics):
            other = record(*ready, replace(options, truth=False))
            return other if other.failure is None else trace
        return trace
