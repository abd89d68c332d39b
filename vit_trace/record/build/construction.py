"""Watches constructors, at their return, for the quantities that they work out: num_patches 64, patch_dim 3072."""

import dis
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib.machinery import SourceFileLoader
from itertools import chain, takewhile
from types import CodeType, FrameType, ModuleType
from typing import Any, NamedTuple, TypeGuard

import torch
from msgspec.structs import replace
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from vit_trace.base.leaving import exceptions_only
from vit_trace.base.limits import BOUNDS, Counter, require_within
from vit_trace.base.trace import Construction, Number, Source
from vit_trace.record.meta.tensors import are_sizes
from vit_trace.record.source import frames
from vit_trace.record.source.lines import Tracer, current

_Seen = tuple[nn.Module, Construction]
"""The module under construction, and a quantity of its constructor, as yet without the module's path."""

MODULE_INIT, PARAMETER_ADDED = nn.Module.__init__.__code__, nn.Module.register_parameter.__code__
COUNTED = frozenset((MODULE_INIT, PARAMETER_ADDED))
"""Code of torch's that every module and every parameter of a model goes through."""


_JUMP_TO_ITSELF = bytes((dis.opmap["JUMP_BACKWARD"], 1 if sys.version_info < (3, 13) else 2))


class ConstructorCall(NamedTuple):
    """A constructor call: the class, and what its `__init__` was given, by name and as `*args` and `**kwargs`."""

    made: type[nn.Module]
    named: dict[str, Any]
    positional: tuple[Any, ...]
    more: dict[str, Any]

    @property
    def arguments(self) -> dict[str, Any]:
        """All that was given by name."""
        return {**self.named, **self.more}

    def again(self, arguments: Mapping[str, Any]) -> nn.Module:
        """The same call with other values for what was given by name."""
        if self.positional:
            named = [arguments[name] for name in self.named]
            return self.made(*named, *self.positional, **{name: arguments[name] for name in self.more})
        return self.made(**arguments)


class Watch:
    """Remembers what the constructors that return while it is active have worked out.

    `calls` holds what the outermost of them were called with, by the identity of the module. `limited`: what they make
    is held to the limits.
    """

    def __init__(self, limited: bool = True) -> None:
        self.limited = limited
        self.counted = COUNTED if limited else frozenset()
        self.seen: list[_Seen] = []
        self.calls: dict[int, tuple[nn.Module, ConstructorCall]] = {}
        self.depth = 0
        self.lines = current()
        self.counter = Counter()
        self.plain = [self.counting(None, spins) for spins in (False, True)]

    def run(self, build: Callable[[], object]) -> object:
        """build(), watched."""
        before = sys.gettrace()
        with self.lines.constructing() if self.lines else nullcontext():
            sys.settrace(self.on_call)
            try:
                with exceptions_only():
                    model = build()
            except BaseException:
                self.seen, self.calls = [], {}  # what traced refers to itself, and would keep what was built
                raise
            finally:
                sys.settrace(before)
        if self.lines and isinstance(model, nn.Module):
            self.lines.built(model)
        return model

    def on_call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if code in self.counted:
            self.count(code, frame)
        inner = self.lines.on_call(frame, event, argument) if self.lines else None
        if frames.owner(code.co_filename) != frames.OWN:
            return inner
        if self.limited:
            spins = _spins(code)
            inner = self.counting(inner, spins) if inner is not None else self.plain[spins]
            frame.f_trace_opcodes |= spins
        if code.co_name != "__init__":
            return inner
        frame.f_trace_lines = inner is not None
        if self.depth == 0 and (call := _call_of(frame)) is not None:
            self.calls.setdefault(id(call[0]), call)
        self.depth += 1
        if inner is None:
            return self.on_return

        def on_event(frame: FrameType, event: str, argument: Any) -> Any:
            inner(frame, event, argument)
            self.on_return(frame, event, argument)
            return on_event

        return on_event

    def counting(self, inner: Tracer | None, spins: bool) -> Tracer:
        """A trace function that counts lines and hands events on; of code that `spins` no opcodes. Raises OverLimit."""
        counter, found, most = self.counter, self.counter.found, BOUNDS["lines"]

        def on_event(frame: FrameType, event: str, argument: Any) -> Tracer:
            nonlocal inner
            if event == "line" or (spins and event == "opcode"):
                found["lines"] += 1
                if found["lines"] > most:
                    counter.add("lines", 0)
            if inner is not None and not (spins and event == "opcode"):
                inner = inner(frame, event, argument)
            return on_event

        return on_event

    def count(self, code: CodeType, frame: FrameType) -> None:
        """One more module, or a parameter of so many elements. Raises OverLimit."""
        if code is MODULE_INIT:
            self.counter.add("modules")
            return
        self.counter.add("calls")
        parameter = frame.f_locals.get("param")
        if isinstance(parameter, Tensor) and not is_lazy(parameter):
            with torch._C.DisableTorchFunction():
                require_within("elements", parameter.numel())

    def on_return(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "return":
            self.depth -= 1
            self.seen += _quantities(frame)
        return self.on_return

    def call(self, model: nn.Module) -> ConstructorCall | None:
        """What the model's constructor was called with; None for a class of torch's own or one made unseen."""
        module, call = self.calls.get(id(model), (None, None))
        return call if module is model else None

    def construction(self, model: nn.Module) -> tuple[Construction, ...]:
        """What was seen of the modules that are part of `model`, in the model's order."""
        paths = {id(module): path for path, module in model.named_modules()}
        found: dict[str, list[Construction]] = {path: [] for path in paths.values()}
        for module, record in self.seen:
            if (path := paths.get(id(module))) is not None:
                found[path].append(replace(record, module=path))
        return tuple(chain.from_iterable(found.values()))


@contextmanager
def loops_counted() -> Iterator[None]:
    """Counts the lines of the user's own code that loops, while his modules are imported. Raises OverLimit.

    Not while they import libraries, which would take half as long again.
    """
    before, watch, plain = sys.gettrace(), Watch(), SourceFileLoader.exec_module
    if before is not None:
        yield
        return

    def on_call(frame: FrameType, event: str, argument: Any) -> Tracer | None:
        if frame.f_trace is not None:  # a generator goes on
            return frame.f_trace
        if frames.is_installed(frame.f_code.co_filename) or not loops(frame.f_code):
            return None
        frame.f_trace_opcodes |= (spins := _spins(frame.f_code))
        return watch.plain[spins]

    def exec_module(self: SourceFileLoader, module: ModuleType) -> None:
        own = frames.owner(self.path) == frames.OWN and not frames.is_installed(self.path)
        held = sys.gettrace()
        sys.settrace(on_call if own else None)
        try:
            plain(self, module)
        finally:
            sys.settrace(held)

    SourceFileLoader.exec_module = exec_module  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        SourceFileLoader.exec_module = plain  # type: ignore[method-assign]
        sys.settrace(None)


@cache
def loops(code: CodeType) -> bool:
    """Whether it is the model's own code and jumps back."""
    own = frames.owner(code.co_filename) == frames.OWN
    return own and any("JUMP_BACKWARD" in step.opname for step in frames.instructions(code)[0])


@cache
def _spins(code: CodeType) -> bool:
    """Whether it holds `while True: pass` in one line: a jump to itself, which begins no line."""
    return _JUMP_TO_ITSELF in code.co_code and any(
        step.opname.startswith("JUMP_BACKWARD") and step.argval == step.offset for step in frames.instructions(code)[0]
    )


def _call_of(frame: FrameType) -> tuple[nn.Module, ConstructorCall] | None:
    """(module, arguments) of the `__init__` that `frame` begins; None where it makes no module."""
    code, values, names = frame.f_code, frame.f_locals, frame.f_code.co_varnames
    count = code.co_argcount + code.co_kwonlyargcount
    module = values.get(names[0]) if count else None
    if not isinstance(module, nn.Module):
        return None
    starred = bool(code.co_flags & inspect.CO_VARARGS)
    positional = tuple(values[names[count]]) if starred else ()
    more = dict(values[names[count + starred]]) if code.co_flags & inspect.CO_VARKEYWORDS else {}
    named = {name: values[name] for name in names[1:count] if name in values}
    return module, ConstructorCall(type(module), named, positional, more)


def _quantities(frame: FrameType) -> Iterator[_Seen]:
    """Numbers that an `__init__` computed: local variables that are no arguments, then public attributes it set."""
    code, values = frame.f_code, frame.f_locals
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    module = values.get(names[0]) if names else None
    if not isinstance(module, nn.Module) or "_modules" not in module.__dict__:
        return
    variables, attributes = _stores(code.co_filename, code)
    known = {name: value for name in names[1:] if _is_quantity(value := values.get(name))}
    for held, sources in ((values, variables), (vars(module), attributes)):
        for name, source in sources.items():
            value, before = held.get(name), known.get(name)
            same = type(value) is type(before) and value == before  # 1 is not 1.0 here
            if _is_quantity(value) and not name.startswith("_") and not same:
                if held is values:
                    known[name] = value
                yield module, Construction("", name, value, None, source)


def _is_quantity(value: object) -> TypeGuard[Number | tuple[int, ...]]:
    """A number or a tuple of sizes; a bool is neither."""
    return type(value) in (int, float) or are_sizes(value, most=4)


@cache
def _stores(filename: str, code: CodeType) -> tuple[dict[str, Source | None], dict[str, Source | None]]:
    """Where each (variable, attribute) of `code` is last assigned, by name, in the order of first assignment."""
    listing, _ = frames.instructions(code)
    looped = _loop_variables(listing)
    variables: dict[str, Source | None] = {}
    attributes: dict[str, Source | None] = {}
    for step in listing:
        if step.offset not in looped:
            line = frames.positions(code)[step.offset // 2][0]
            source = frames.source(filename, line, line, None, None) if line else None
            held = attributes if step.opname == "STORE_ATTR" else variables
            held |= dict.fromkeys(frames.stored(step), source)
    return variables, attributes


def _loop_variables(listing: list[dis.Instruction]) -> set[int]:
    """Offsets of the instructions that bind the variables of `for` loops: what they end with is nobody's result."""
    after = (listing[place + 1 :] for place, step in enumerate(listing) if step.opname == "FOR_ITER")
    binding = (takewhile(lambda one: frames.stored(one) or one.opname == "UNPACK_SEQUENCE", rest) for rest in after)
    return {step.offset for steps in binding for step in steps if step.opname != "STORE_ATTR"}
