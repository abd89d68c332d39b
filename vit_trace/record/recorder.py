"""Records a forward pass: hooks for modules, a function mode for the steps between them. Keeps no tensor."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from vit_trace.base import limits
from vit_trace.base.trace import Kind, Source, Stage, TensorSpec
from vit_trace.record.meta.answer import WRITTEN, answer, values_written
from vit_trace.record.meta.flops import flops
from vit_trace.record.meta.real import as_for_real, is_lookup, require_for_real
from vit_trace.record.meta.tensors import argument_specs, specs
from vit_trace.record.meta.values import READING, read_values, replay_of
from vit_trace.record.source import frames
from vit_trace.record.source.makers import Makers, tensors_given

Specs = tuple[TensorSpec, ...]
CALL_IMPL: CodeType = nn.Module._call_impl.__code__
LIBRARY_MODULES = ("torch.", "einops.")
MULTI_HEAD_ATTENTION = F.multi_head_attention_forward
UNHEARD = torch._C.DisableTorchFunction
"""Hides our own questions to tensors from the mode."""
EINOPS_FUNCTIONS = {"rearrange", "reduce", "repeat", "einsum", "pack", "unpack"}

ASKS_TRUTH = {"__bool__", "item"}
"""Functions with which a model branches on a value; without values, one branch has to be chosen."""

QUIET = {
    *("detach", "detach_", "contiguous", "requires_grad_", "clone", "size", "stride", "cpu", "cuda"),
    *("_assert", "_assert_async", "set_", "pin_memory", "record_stream", "share_memory_", "is_tensor", "result_type"),
    *("_set_grad_enabled", "set_grad_enabled", "manual_seed", "get_device", "item", "tolist", "is_contiguous"),
}
"""Functions that are not a step of the computation: they only query, or hand the same values on."""

UNLESS_CHANGED = {
    *("__getitem__", "view", "reshape", "expand", "expand_as", "view_as", "flatten", "squeeze", "unsqueeze"),
    *("to", "type", "float", "half", "bfloat16", "double", "int", "long", "bool", "dropout", "type_as", "as_tensor"),
    *("alpha_dropout", "feature_dropout", "dropout1d", "dropout2d", "dropout3d", "narrow", "select", "broadcast_to"),
    *("pad", "_pad_circular", "interpolate", "real", "imag"),
}
"""Functions that are a step only where they change the shape or dtype."""

VIEWING = {"T", "mT", "H", "mH", "real", "imag"}
"""Attributes of a tensor that are another tensor."""


class TorchCall(NamedTuple):
    """A call of a torch function: the function, the name it goes by, its arguments."""

    func: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Watcher(Protocol):
    """Hears of every torch function that a forward called, after the call; modes and hooks do not hear it."""

    def called(self, step: Step | None, call: TorchCall, out: Any) -> None:
        """`step` is the stage that the call is or belongs to."""


class Location(NamedTuple):
    """Where a step belongs: the path of its module, the name it gets, its span in the source."""

    module: str
    name: str
    source: Source | None


@dataclass(slots=True)
class Step:
    """A stage while the recording goes on: what is known when it begins, and what it comes to."""

    index: int
    parent: int | None
    module: str
    name: str
    source: Source | None
    kind: Kind
    operation: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] = ()
    pattern: str | None = None
    parameters: int = 0
    flops: int = 0

    def frozen(self, fed_by: tuple[int | str | None, ...] = ()) -> Stage:
        """The stage, once the recording is over."""
        return Stage(**{name: getattr(self, name) for name in self.__slots__}, fed_by=fed_by)


@dataclass(slots=True)
class _Known:
    """What the recorder works out once for each module of the model."""

    module: nn.Module
    path: str
    operation: str
    pattern: str | None
    opaque: bool  # a library wrote its forward: no functional stages inside
    parameters: int  # held by the module itself, not counted at an earlier module
    lazy: tuple[str, ...] = ()  # names of its parameters that get a shape in the first forward


def known_modules(model: nn.Module, counted: set[int], prefix: str = "") -> dict[int, _Known]:
    """What the recorder needs of each module, by identity; parameters that are `counted` already are not again."""
    known: dict[int, _Known] = {}
    for path, module in model.named_modules(prefix=prefix):
        own, lazy = 0, []
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in counted:
                counted.add(id(parameter))
                own += numel(parameter)
                if is_lazy(parameter):
                    lazy.append(name)
        forward = vars(module).get("forward") or getattr(type(module), "forward", None)
        author = getattr(forward, "__module__", None) or ""
        opaque = not module._modules and author.startswith(LIBRARY_MODULES)
        pattern = getattr(module, "pattern", None) if str(type(module).__module__).startswith("einops.") else None
        known[id(module)] = _Known(module, path, type(module).__name__, pattern, opaque, own, tuple(lazy))
    return known


def numel(parameter: Tensor) -> int:
    """Elements of a parameter; a lazy one that has no shape yet has none."""
    return 0 if is_lazy(parameter) else parameter.numel()


class _Enough(Exception):
    """Breaks off a forward that has given all the stages that are wanted."""


class Recorder(TorchFunctionMode):
    """The function mode and the hooks of one recording, and the steps they have seen."""

    def __init__(self, model: nn.Module, root: CodeType, rules: bool) -> None:
        super().__init__()
        self.counted: set[int] = set()  # parameters, by identity
        self.known = known_modules(model, self.counted)
        self.modules = [known.module for known in self.known.values()]
        self.model, self.root, self.rules = model, root, rules
        self.steps: list[Step] = []
        self.open: list[Step] = []
        self.opaque = 0  # depth of open stages whose inside is not shown
        self.names: Counter[str] = Counter()
        self.elements: Counter[tuple[int, CodeType, int]] = Counter()
        self.einops_frame: FrameType | None = None
        self.einops_step: Step | None = None
        self.raised: tuple[BaseException, Step] | None = None
        self.limit: int | None = None  # stages after which the forward is broken off
        self.counter: limits.Counter | None = None  # holds the calls of torch to the limit
        self.truth = True  # what a tensor without values counts as in a condition
        self.guesses = 0
        self.makers = Makers()  # which stage made a tensor
        self.watcher: Watcher | None = None

    def __deepcopy__(self, memo: object) -> Recorder:
        """Itself, when a forward copies a module with our hooks on it."""
        return self

    def forget(self) -> None:
        """Take our hooks off copies that the forward made and put into the model."""
        for module in self.model.modules():
            if id(module) not in self.known:
                for hooks in (module._forward_pre_hooks, module._forward_hooks):
                    for number in [number for number, hook in hooks.items() if hook in (self.enter, self.leave)]:
                        del hooks[number]

    def add(self, location: Location, kind: Kind, operation: str, inputs: Specs, outputs: Specs = ()) -> Step:
        """Append a stage inside the innermost open one; its name is made unique."""
        if self.limit is not None and len(self.steps) >= self.limit:
            raise _Enough
        module, name, source = location
        self.names[name] += 1
        if (count := self.names[name]) > 1:
            name = f"{name}#{count}"
        parent = self.open[-1].index if self.open else None
        step = Step(len(self.steps), parent, module, name, source, kind, operation, inputs, outputs)
        self.steps.append(step)
        return step

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook."""
        known = self.known.get(id(module))
        if known is None:  # a copy that the forward made, hooks and all: it has no name, its steps are the caller's
            return
        if self.counter is not None:
            self.counter.add("steps")
        self.close_einops()
        site = frames.find_site(sys._getframe(1), CALL_IMPL, self.root)
        source = frames.span(site.frame.f_code, site.frame.f_lasti) if site.frame else None
        with UNHEARD():
            inputs = argument_specs(args, kwargs)
            step = self.add(Location(known.path, known.path, source), "module", known.operation, inputs)
            self.makers.note_inputs(step.index, tensors_given(args, kwargs))
        step.pattern = known.pattern
        step.parameters, known.parameters = known.parameters, 0
        self.open.append(step)
        self.opaque += known.opaque

    def leave(self, module: nn.Module, args: Any, kwargs: Any = None, output: Any = None) -> None:
        """Forward hook, called also when the module raised: then there is no output."""
        known = self.known.get(id(module))
        if known is None:
            return
        self.close_einops()
        while self.open:
            step = self.open.pop()
            if step.module == known.path:
                self.opaque -= known.opaque
                with UNHEARD():
                    step.outputs = specs(output)
                    self.makers.note_outputs(step.index, output, new_only=not known.opaque)
                return

    def close_einops(self) -> None:
        self.einops_frame = self.einops_step = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.counter is not None:
            self.counter.add("steps")
        name = getattr(func, "__name__", "")
        if name in READING and (read := read_values(func, args, kwargs)) is not NotImplemented:
            return read
        if name in ASKS_TRUTH and args and args[0].is_meta and (name == "__bool__" or args[0].dtype is torch.bool):
            if args[0].numel() != 1:  # no value decides: torch refuses it
                return func(torch.zeros((), dtype=args[0].dtype, device="cpu").expand(args[0].shape))
            self.guesses += 1
            return self.truth
        if name == "__get__":
            caller = sys._getframe(1)
            if frames.owner(caller.f_code.co_filename) == frames.EINOPS and not self.opaque:
                self.einops_stage(frames.find_site(caller, CALL_IMPL, self.root))
            name = getattr(getattr(func, "__self__", None), "__name__", "")
            if name not in VIEWING or self.opaque or not self.open:
                out = self.run(func, args, kwargs) if name in VIEWING or name == "data" else func(*args, **kwargs)
                self.note(None, TorchCall(func, name, args, kwargs), out)
                return out
        if func is MULTI_HEAD_ATTENTION and self.open and not self.opaque:
            return self.inside(func, args, kwargs)
        if self.opaque or not self.open or name in QUIET:
            out = self.run(func, args, kwargs)
            self.note(None, TorchCall(func, name, args, kwargs), out)
            if self.open and (cost := flops(func, args, kwargs, out)):
                self.open[-1].flops += cost
            return out
        return self.record(func, name, args, kwargs)

    def run(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The function's result: by rule where one answers, else from torch. Raises what a real run raises."""
        if self.rules and func in WRITTEN and self.counter is not None:
            self.counter.add("values", values_written(func, args, kwargs, WRITTEN))
        replay = replay_of(func, args, kwargs)
        out = answer(func, args, kwargs) if self.rules else NotImplemented
        if out is NotImplemented:
            out = as_for_real(func, args, kwargs)
        elif is_lookup(func):
            require_for_real(func, args, kwargs, out)
        if replay is not None:
            count = replay.note(out)
            if self.counter is not None:
                self.counter.add("values", count)
        return out

    def inside(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function that torch writes in terms of others so that those are seen.

        torch asks `has_torch_function` first, and would call this mode again without end.
        """
        asked = vars(F)["has_torch_function"]
        vars(F)["has_torch_function"] = lambda _: False
        try:
            with self:
                return func(*args, **kwargs)
        finally:
            vars(F)["has_torch_function"] = asked

    def record(self, func: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function as a stage of its own, or as a part of the einops call it belongs to."""
        site = frames.find_site(sys._getframe(2), CALL_IMPL, self.root)
        inputs = argument_specs(args, kwargs)  # before the call: it may work in place
        step = self.einops_stage(site) if site.einops is not None else None
        try:
            out = self.run(func, args, kwargs)
        except RecursionError:  # whatever step the stack ends in, it is not the mistake
            raise
        except BaseException as error:
            step = step or self.function_stage(site, name, inputs, ())
            self.note(step, TorchCall(func, name, args, kwargs), ())
            self.raised = error, step
            raise
        outputs = specs(out)
        if step is not None:
            self.extend_einops(step, name, outputs)
        elif outputs and (name not in UNLESS_CHANGED or _kinds(inputs[:1]) != _kinds(outputs)):
            step = self.function_stage(site, name, inputs, outputs)
        self.note(step, TorchCall(func, name, args, kwargs), out)
        if cost := flops(func, args, kwargs, out):
            (step or self.open[-1]).flops += cost
        return out

    def note(self, step: Step | None, call: TorchCall, out: Any) -> None:
        """Note what made `out`: the step; or, for a function that is not a stage, what made its first tensor."""
        if self.watcher is not None:
            with UNHEARD():
                self.watcher.called(step or (self.open[-1] if self.open else None), call, out)
        if self.opaque:
            return
        with UNHEARD():
            tensors = tensors_given(call.args, call.kwargs)
            if step is None:
                self.makers.hand_on(call.name, tensors, out)
            else:
                self.makers.note_inputs(step.index, tensors)
                self.makers.note_outputs(step.index, out)

    def function_stage(self, site: frames.Site, name: str, inputs: Specs, outputs: Specs) -> Step:
        self.close_einops()
        operation = name.strip("_") if name.startswith("__") else name
        return self.add(self.locate(site, operation), "function", operation, inputs, outputs)

    def locate(self, site: frames.Site, operation: str) -> Location:
        """Where a functional stage belongs: named by what its result is bound to, else by its operation."""
        module = self.open[-1].module
        label, source = operation, None
        frame = site.frame if site.inside else site.library
        if frame is not None:
            source = frames.span(frame.f_code, frame.f_lasti)
            bound = frames.bound_names(frame)
            if bound.several and len(bound.names) > 1:
                key = (self.open[-1].index, bound.code, bound.lasti)
                label = bound.names[self.elements[key] % len(bound.names)]
                self.elements[key] += 1
            elif bound.names:
                label = ", ".join(name for name in bound.names if name != "_" or len(bound.names) == 1)
        return Location(module, f"{module}.{label}" if module else label, source)

    def einops_stage(self, site: frames.Site) -> Step | None:
        """The stage of the einops call that is running, opened at the first torch call that it makes."""
        if site.einops is None or not self.open:
            return None
        if site.einops is self.einops_frame:
            return self.einops_step
        call = frames.einops_call(site.einops)
        if call.operation not in EINOPS_FUNCTIONS:
            return None
        inputs = argument_specs(call.given, {})
        step = self.add(self.locate(site, call.operation), "einops", call.operation, inputs, inputs)
        step.pattern = call.pattern
        self.einops_frame, self.einops_step = site.einops, step
        with UNHEARD():
            self.makers.note_inputs(step.index, tensors_given(call.given, {}))
        return step

    def extend_einops(self, step: Step, name: str, outputs: Specs) -> None:
        """The last tensor an einops function makes is what it returns; `unpack` reshapes one slice per packed part."""
        if outputs and step.operation != "unpack":
            step.outputs = outputs
        elif outputs and name == "reshape":
            made = () if step.outputs is step.inputs else step.outputs
            step.outputs = (*made, TensorSpec(f"[{len(made)}]", outputs[0].shape, outputs[0].dims, outputs[0].dtype))


def _kinds(specs: Specs) -> list[tuple[tuple[int, ...], str]]:
    return [(spec.shape, spec.dtype) for spec in specs]
