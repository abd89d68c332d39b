"""Records code that is no forward of one model: a training step, a loss, several forwards in turn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from types import FrameType
from typing import Any

import torch
from msgspec.structs import replace
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from vit_trace.base.trace import Target, Trace
from vit_trace.record.record import RecordOptions, add_inputs, add_output, trace_of
from vit_trace.record.recorder import UNHEARD, Location, Recorder, known_modules
from vit_trace.record.source import frames

NOT_STEPS = tuple(f"torch/{part}" for part in ("optim/", "utils/data/", "amp/", "nn/utils/clip_grad", "autograd/"))
"""Code of torch's whose calls are no step of a network: optimizers, loaders, the clipping of gradients."""


class _Ran(nn.Module):
    """Holds the modules that ran, under the names that the code has for them."""


class Around:
    """Everything that runs between `begin` and `end`, as one trace.

    It runs as it would without us: modes, gradients and random numbers stay its own. A module is known from its first
    call on, by the variable that holds it or a module around it; steps between modules are stages too.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.recorder = _OpenRecorder()
        self.stack = ExitStack()

    def begin(self, called: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Trace:
        """Start; the trace of nothing yet."""
        recorder, stack = self.recorder, self.stack
        add_inputs(recorder, called, args, kwargs)
        recorder.open.append(recorder.add(Location("", "", None), "module", self.name, ()))
        stack.callback(register_module_forward_pre_hook(recorder.entered).remove)
        stack.callback(register_module_forward_hook(recorder.leave, always_call=True).remove)
        if "torch._dynamo" in sys.modules:  # a compiled module runs as it was written: a compiler hears no steps
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(recorder)
        return self._trace(None)

    def end(self, error: BaseException | None = None) -> Trace:
        """Stop; the trace of what ran, with its failure where an exception ended it."""
        self.stack.close()
        return replace(self._trace(error), outputs=())

    def returned(self, output: Any) -> Trace:
        """Stop; the trace of a call that returned something."""
        self.stack.close()
        add_output(self.recorder, output)
        return self._trace(None)

    def _trace(self, error: BaseException | None) -> Trace:
        device = next((one.device.type for one in self.recorder.model.parameters()), "cpu")
        return trace_of(self.recorder, error, RecordOptions(Target("", self.name, device=device)))


class _OpenRecorder(Recorder):
    """Hears every module that is called, also one that nobody named before."""

    def __init__(self) -> None:
        super().__init__(_Ran(), Around.begin.__code__, rules=True)

    def entered(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Global forward pre-hook."""
        caller = sys._getframe(1)
        if id(module) not in self.known:
            with UNHEARD():
                self._learn(module, caller)
        self.enter(module, args, caller.f_locals.get("kwargs") or {})

    def leave(self, module: nn.Module, args: Any, kwargs: Any = None, output: Any = None) -> None:
        """Global forward hook, whose third argument is the output."""
        known = self.known.get(id(module))
        if known is not None and any(step.kind == "module" and step.module == known.path for step in self.open):
            super().leave(module, args, {}, kwargs)

    def record(self, func: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if _is_no_step(sys._getframe(2)):
            return self.run(func, args, kwargs)
        return super().record(func, name, args, kwargs)

    def _learn(self, module: nn.Module, frame: FrameType) -> None:
        """Know the module from now on, and all of the one that it is part of."""
        name, root = next(_holders(module, frame), (type(module).__name__, module))
        held, count = name, 1
        while held in self.model._modules:
            held, count = f"{name}_{count + 1}", count + 1
        self.model._modules[held] = root  # add_module refuses the names of its own attributes
        self.makers.hold_model(self.model)
        for key, known in known_modules(root, self.counted, held).items():
            self.known.setdefault(key, known)


def _is_no_step(frame: FrameType | None) -> bool:
    """Whether the call does not compute the network: code of torch's around it made it, or a constructor."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__init__" and isinstance(frame.f_locals.get("self"), nn.Module):
            return True
        if frames.owner(code.co_filename) == frames.OWN:
            return False
        if any(part in code.co_filename for part in NOT_STEPS):
            return True
        frame = frame.f_back
    return False


def _holders(module: nn.Module, frame: FrameType | None) -> Iterator[tuple[str, nn.Module]]:
    """Variables that hold the module, else a module around it: in the frames outward, in their globals, as `self`."""
    local: list[dict[str, Any]] = []
    globals_: list[dict[str, Any]] = []
    while frame is not None:
        if frames.is_own(frame):
            local.append(dict(frame.f_locals))
            globals_ += [frame.f_globals] if frame.f_globals not in globals_ else []
        frame = frame.f_back
    owners = [scope["self"] for scope in local if "self" in scope]
    attributes = [dict(getattr(owner, "__dict__", {})) for owner in owners if not isinstance(owner, nn.Module)]
    held = [pair for scope in (*local, *attributes, *globals_) for pair in [*scope.items()] if pair[0] != "self"]
    held += [(type(owner).__name__, owner) for owner in owners]
    modules = [(name, value) for name, value in held if isinstance(value, nn.Module)]
    yield from (pair for pair in modules if pair[1] is module)
    yield from (pair for pair in modules if any(one is module for one in pair[1].modules()))
