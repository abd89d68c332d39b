"""Runs a call that failed once more, on copies without memory, and keeps the trace only where it fails the same way."""

from __future__ import annotations

import contextlib
import io
import traceback as tracebacks
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from msgspec import structs
from torch import Tensor, nn

from vit_trace.base import network
from vit_trace.base.trace import Failure, Trace
from vit_trace.diagnose.diagnose import of_case
from vit_trace.diagnose.trials import Case, copy_on_meta
from vit_trace.record.raised.capture import MOST_INDICES
from vit_trace.record.raised.crash import Crash

PLAIN = (int, float, complex, str, bytes, bool, type(None), list, tuple, dict, set, Tensor, nn.Module, type)
"""Types of what a copy of a model has of its own; it shares objects of other types with the model."""

REAL = 50_000_000
"""Elements up to which a single call is run for real."""


@dataclass(frozen=True)
class Root:
    """A call to run again: the module, its arguments, whether autocast was on."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    casts: bool = False
    anywhere: bool = False  # the program's own traceback does not show the model's lines


def replayed(root: Root, crash: Crash, amend: Callable[[Case], Case] = lambda case: case) -> Trace | None:
    """The trace of a call that fails as it did; None where it does not."""
    kept: Trace | None = None
    with quietly():
        for case in _ways(root):
            try:
                trace = of_case(amend(case), partial(_as_it_was, crash, root.anywhere))
            except Exception:  # whatever the program raises when it is run again
                continue
            if trace is None or trace.failure is None:
                continue
            if says_the_same(trace.failure, crash.error) and not _dtypes_alone(trace, crash):
                return trace
            kept = kept or (None if _dtypes_alone(trace, crash) else trace)
    return kept


def _dtypes_alone(trace: Trace, crash: Crash) -> bool:
    """Whether the replay stumbles over dtypes, which the program did not."""
    return trace.failure is not None and trace.failure.code == "dtype" and "type" not in str(crash.error)


def plain_case(root: Root) -> Case:
    """The call on meta, as the program ran it."""
    return _base(root, _autocast if root.casts else nullcontext)


def _ways(root: Root) -> Iterator[Case]:
    """On meta, as the program ran it; with autocast the other way round; then a single call with values."""
    for casts in (root.casts, not root.casts):
        around = _autocast if casts else nullcontext
        base = _base(root, around)
        yield base
    if _elements(root) <= REAL and not any(True for _ in root.model.parameters()):
        yield replace(_base(root, nullcontext), inputs=lambda: _inputs(root, _with_values), rules=False)


def _base(root: Root, around: Callable[[], AbstractContextManager[object]]) -> Case:
    return Case(
        lambda: light_copy(root.model),
        lambda: _inputs(root, _without_values),
        train=None,
        around=around,
        copied=light_copy,
    )


def _autocast() -> AbstractContextManager[object]:
    from vit_trace.memory.functions import Casts, Functions, cuda

    return Functions(Casts(cuda())).on()


def _as_it_was(crash: Crash, anywhere: bool, trace: Trace) -> Trace | None:
    """The trace with Python's own account of the exception, if it failed at the same line; else None."""
    failure, error = trace.failure, crash.error
    if failure is None or failure.code != "forward-failed":
        return None
    kind = failure.exception.partition(":")[0]
    there, here = failure.span, crash.span
    if not anywhere and kind != type(error).__name__:
        return None
    same = there is not None and here is not None and (there.file, there.line) == (here.file, here.line)
    if not same and not (anywhere or says_the_same(failure, error)):
        return None
    if anywhere:
        return trace
    lines = tuple("".join(tracebacks.format_exception(error)).splitlines())
    said = f"{type(error).__name__}: {str(error).strip()[:2000]}"
    return structs.replace(trace, failure=structs.replace(failure, span=there or here, exception=said, traceback=lines))


def says_the_same(failure: Failure, error: BaseException) -> bool:
    """Whether a failure quotes the exception's own words."""
    return " ".join(str(error).split())[:300] in " ".join(failure.exception.split())


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """The program's code prints and warns nothing when it is run again, and stays off the network."""
    with (
        network.closed_meanwhile(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


def light_copy(model: nn.Module) -> nn.Module:
    """A copy on meta that shares with the model what is neither module nor tensor nor a plain value."""
    shared: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
            for one in (value, *inner):
                if not isinstance(one, (*PLAIN, types.MethodType, partial)) and not callable(one):
                    shared[id(one)] = one
    copied = copy_on_meta(model, shared)
    for module in copied.modules():
        vars(module).get("_original_forward") and vars(module).pop("forward", None)  # accelerate's autocast around it
    return copied


def _inputs(root: Root, moved: Callable[[Tensor], Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args, kwargs = mapped((tuple(root.args), dict(root.kwargs)), moved)
    return args, kwargs


def inputs_on_meta(root: Root) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a call was given, on meta; whole numbers with their values."""
    return _inputs(root, _without_values)


def mapped(value: Any, moved: Callable[[Tensor], Tensor]) -> Any:
    """A value with its tensors moved, in the containers that programs hand on."""
    if isinstance(value, Tensor):
        return moved(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(one, moved) for one in value))
    if type(value) in (list, tuple):
        return type(value)(mapped(one, moved) for one in value)
    if isinstance(value, Mapping):
        plain = {name: mapped(one, moved) for name, one in value.items()}
        with contextlib.suppress(Exception):
            return type(value)(plain) if type(value) is not dict else plain  # type: ignore[call-arg]
        return plain
    return value


def _without_values(tensor: Tensor) -> Tensor:
    """The tensor on meta; one of whole numbers or truths keeps its values, on the CPU."""
    whole = not tensor.is_floating_point() and not tensor.is_complex()
    if whole and not tensor.is_meta and tensor.numel() <= MOST_INDICES:
        with contextlib.suppress(Exception):  # a device that has failed gives nothing more
            return tensor.detach().cpu().clone()
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _with_values(tensor: Tensor) -> Tensor:
    bare = _without_values(tensor)
    return torch.rand(bare.shape).to(bare.dtype) if bare.is_meta else bare


def _elements(root: Root) -> int:
    from vit_trace.record.meta.tensors import leaves

    return sum(tensor.numel() for _, tensor in leaves((root.args, root.kwargs)))
