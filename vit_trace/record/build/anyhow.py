"""Builds a model without memory: on the first rung of a ladder from plain meta to a real CPU that works."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Container
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vit_trace.base import network
from vit_trace.base.limits import Counter
from vit_trace.base.refused import Refused
from vit_trace.base.trace import Construction
from vit_trace.record.build.captured import is_capturing
from vit_trace.record.build.construction import ConstructorCall, Watch
from vit_trace.record.meta.answer import RULES, WRITTEN, answer, values_written
from vit_trace.record.meta.collector import uncollected
from vit_trace.record.meta.values import READING, note, read_values, replay_of, write_number

Factory = Callable[[], object]

FILLS = {"normal_", "uniform_", "trunc_normal_", "erfinv_", "bernoulli_", "exponential_", "log_normal_", "cauchy_"}
"""In-place initialisers outside torch.nn.init."""


SCALED = {"mul_", "add_", "div_", "sub_", "clamp_", "zero_", "fill_"}
"""In-place functions that initialisers are made of: with numbers alone they change no shape."""

SET_GRAD = torch._C._set_grad_enabled
"""What `no_grad` calls, as often as an initialiser runs: no rule or value has to do with it."""


class NotAModel(Exception):
    """The factory returned something that is not a torch.nn.Module; `value` is what it was."""

    def __init__(self, value: object) -> None:
        super().__init__(f"got {type(value).__name__}")
        self.value = value


@dataclass(frozen=True)
class Built:
    """A model, what its constructors worked out and were called with, the rung that built it, and the work it took.

    `lines` of the model's own code, and `calls` of torch: those of initialisers not, where nobody watched.
    """

    model: nn.Module
    construction: tuple[Construction, ...]
    call: ConstructorCall | None
    rung: _BuildRung
    lines: int = 0
    calls: int = 0

    @property
    def is_real(self) -> bool:
        """Whether it could be built with values only, so that its forward needs them too."""
        return self.rung is INITIALISED


@dataclass(frozen=True)
class _BuildRung:
    """One way to build a model: on a device, under a mode, and then perhaps moved to meta.

    `mode` takes whether shape rules may answer.
    """

    device: str
    mode: Callable[[bool], AbstractContextManager[object]]
    moves: bool

    def build_unwatched(self, factory: Factory, rules: bool = True) -> Built:
        """factory() on this rung, no constructor watched: two thirds of the time of `build` go into that."""
        mode = _Bare() if rules and self is ON_META else self.mode(rules)
        with uncollected(), torch.device(self.device), mode, torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            model = factory()
        return Built(self._checked(model, mode), (), None, self, 0, mode.calls if isinstance(mode, _Bare) else 0)

    def _checked(self, made: object, mode: object) -> nn.Module:
        """The model, if it is one. Raises NotAModel, and what meta lacked."""
        if self.device == "meta" and isinstance(mode, Handled) and mode.lacking is not None:
            raise mode.lacking  # torch's parametrizations go on without what meta lacks, and would fail in forward
        if not isinstance(made, nn.Module):
            raise NotAModel(made)
        return made

    def build(self, factory: Factory, rules: bool = True, limited: bool = True) -> Built:
        """factory() on this rung, within the limits. Raises what the factory raises, and NotAModel."""
        watch = Watch(limited)
        with torch.device(self.device), self.mode(rules) as mode, torch.random.fork_rng(devices=[]):
            if limited and isinstance(mode, Handled):
                mode.counter = watch.counter
            torch.default_generator.manual_seed(0)
            model = self._checked(watch.run(factory), mode)
        model = _without_memory(model) if self.device == "meta" else model
        work = watch.counter.found
        built = Built(model, watch.construction(model), watch.call(model), self, work["lines"], work["calls"])
        if self.moves:
            move_to_meta(model)
        return built


def _without_memory(model: nn.Module) -> nn.Module:
    """The model; a copy on meta where all of it was made before, and so has its values."""
    if {one.is_meta for one in model.parameters()} != {False}:
        return model
    model = copy.deepcopy(model)  # whoever made it keeps it as it is
    move_to_meta(model)
    return model


def build_anyhow(factory: Factory, rules: bool = True) -> Built:
    """factory(), on the first rung that can build it. Raises what the factory raises on the last, and NotAModel.

    What two rungs raise in the same words is the model's own: the last, which takes memory, is not asked.
    """
    said = ""
    for rung in BUILD_RUNGS[:-1]:
        try:
            return rung.build(factory, rules)
        except (NotAModel, Refused):
            raise
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            own = words == said and not isinstance(error, NotImplementedError)  # we raise that one too
            if own or network.refusal_behind(error) is not None:
                raise
            said = words
    return BUILD_RUNGS[-1].build(factory, rules)


class Handled(TorchFunctionMode):
    """Hands every torch function, with its arguments, to a function of ours. `filled`: factories that write by default.

    A counter holds the calls and the values that they write to the limits.
    """

    def __init__(
        self,
        handle: Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any],
        filled: Container[object] = (),
    ) -> None:
        super().__init__()
        self.handle, self.filled = handle, filled
        self.counter: Counter | None = None
        self.lacking: NotImplementedError | None = None  # what the device cannot do: the model may have gone on

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self.counter is not None:
            self.counter.add("calls")
            if func in WRITTEN:
                self.counter.add("values", values_written(func, args, kwargs or {}, self.filled))
        hearing = sys.gettrace()
        sys.settrace(None)  # the model's own code is not run in here, and each call of ours would be an event
        try:
            return self.handle(func, args, kwargs or {})
        except NotImplementedError as error:
            self.lacking = error
            raise
        finally:
            sys.settrace(hearing)


class _Bare(Handled):
    """As _ByRule, and a parameter that an initialiser fills stays as it is: nobody asks what it holds."""

    def __init__(self) -> None:
        self.calls = 0
        by_rule = _ByRule().by_rule

        def bare(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if func is not SET_GRAD and args and type(args[0]) is nn.Parameter:
                name = getattr(func, "__name__", "")
                fills = name in FILLS or name in SCALED or getattr(func, "__module__", None) == "torch.nn.init"
                if fills and not any(isinstance(one, Tensor) for one in args[1:]) and args[0].is_meta:
                    return args[0]
            self.calls += 1
            return by_rule(func, args, kwargs)

        super().__init__(bare)


class _ByRule(Handled):
    """Answers initialisers and factories by shape rule, and what is known by its values; the rest goes to torch."""

    def __init__(self) -> None:
        super().__init__(self.by_rule)

    def by_rule(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func is SET_GRAD:
            return func(*args)
        _refuse_capturing()
        if func is Tensor.__setitem__ and write_number(*args):
            return None
        if getattr(func, "__name__", "") in READING and (read := read_values(func, args, kwargs)) is not NotImplemented:
            return read
        replay = replay_of(func, args, kwargs)
        out = NotImplemented
        if func in RULES:
            with torch._C.DisableTorchFunction():  # a rule names its device: `with torch.device` need not hear it ask
                out = answer(func, args, kwargs)
        if out is NotImplemented:
            out = func(*args, **kwargs)
        if replay is not None:
            count = replay.note(out)
            if self.counter is not None:
                self.counter.add("values", count)
                self.counter.add("calls")  # that with values
        return out


def _refuse_capturing() -> None:
    """A program keeps what its forward gave while it was captured: that has to be what a real run gives."""
    if is_capturing():
        raise NotImplementedError("a forward is captured for real only")


def _uninitialised(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Leaves parameters as they were allocated: memory that nobody writes to is never taken."""
    _refuse_capturing()
    target = args[0] if args else kwargs.get("tensor")
    fills = getattr(func, "__module__", None) == "torch.nn.init" or getattr(func, "__name__", "") in FILLS
    return target if fills and isinstance(target, nn.Parameter) else func(*args, **kwargs)


ON_META = _BuildRung("meta", lambda rules: _ByRule() if rules else nullcontext(), moves=False)
MOVED = _BuildRung("cpu", lambda _: Handled(_uninitialised, WRITTEN), moves=True)
UNINITIALISED = _BuildRung("cpu", lambda _: Handled(_uninitialised, WRITTEN), moves=False)
INITIALISED = _BuildRung("cpu", lambda _: nullcontext(), moves=False)
BUILD_RUNGS = (ON_META, MOVED, INITIALISED)
"""Ways to build a model, from the quickest to the one that every constructor can take. The last takes memory."""


def move_to_meta(model: nn.Module, keep_integers: bool = False) -> None:
    """Take a model's tensors to meta; ties between parameters stay. Integers may keep their values."""
    done: dict[int, Tensor] = {}

    def to_meta(tensor: Tensor) -> Tensor:
        if tensor.is_meta or (keep_integers and not tensor.is_floating_point() and not tensor.is_complex()):
            return tensor
        if id(tensor) not in done:
            bare = tensor.detach().to("meta")
            if not bare.is_floating_point() and not bare.is_complex():
                note(bare, tensor)
            done[id(tensor)] = nn.Parameter(bare, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare
        return done[id(tensor)]

    change_tensors(model, to_meta)
    for module in model.modules():
        held = vars(module)
        held |= {name: to_meta(value) for name, value in held.items() if isinstance(value, Tensor)}


def change_tensors(model: nn.Module, how: Callable[[Any], Any]) -> None:
    """Replace the parameters and buffers of a model."""
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in [*held.items()]:  # one by one: a scripted module's table has no update
                if tensor is not None:
                    held[name] = how(tensor)
