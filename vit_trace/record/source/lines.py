"""Hears what each line of the model's own files binds, while its constructors and its forward run.

Notes shapes, whole numbers and what made a tensor. Keeps no tensor and, once the model is built, no module.
"""

import inspect
import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any
from weakref import ref

from torch import Tensor, nn
from torch.nn import Parameter

from vit_trace.base.trace import Trace
from vit_trace.record.meta.tensors import are_sizes, attribute_of, leaves, spec
from vit_trace.record.recorder import UNHEARD, Recorder, Step
from vit_trace.record.source import frames
from vit_trace.record.source.heard import Bound, Call, Execution, Heard, Made, Value, WatchedCode
from vit_trace.record.source.makers import Maker, Makers
from vit_trace.record.source.statements import Bind, Unit, entry_name, function, marks

State = tuple[object, int]
Tracer = Callable[[FrameType, str, Any], Any]
MODULE_INIT = nn.Module.__init__.__code__
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class Lines:
    """The calls of the model's own functions that were heard; the trace function that hears them.

    A model may be built and run several times before a forward succeeds; what comes after that is not heard.
    """

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.root: ref[nn.Module] | None = None
        self.constructors: list[Call] = []
        self.forwards: list[Call] = []
        self.active: list[Call] = []
        self.makers = Makers()
        self.steps: list[Step] = []
        self.open: list[Step] = []
        self.paths: dict[int, str] = {}
        self.building = False
        self.plans: dict[int, WatchedCode | None] = {}

    @contextmanager
    def constructing(self) -> Iterator[None]:
        """A build is on; its own trace function hands every call to `on_call`."""
        self.building = True
        self.constructors = []
        try:
            yield
        finally:
            self.building = False
            self.active.clear()

    def built(self, model: nn.Module) -> None:
        """The model is whole: give each constructor call its module's path, and let go of the modules."""
        self.root = ref(model)
        paths = {id(module): path for path, module in model.named_modules()}
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self.constructors = [call for call in self.constructors if id(call.owner) in paths]
        for call in self.constructors:
            call.module = paths[id(call.owner)]
            for line, module in call.made:
                bound = tuple(_parameters_of(module, names, line))
                if id(module) in paths and bound:
                    unit = call.function.units.get(line) or Unit(line, line)
                    call.runs.append(Execution(unit, bound, 0, 0))
            call.owner = None
            call.made.clear()

    @contextmanager
    def forward(self, recorder: Recorder) -> Iterator[None]:
        """Hear the forward that `recorder` records."""
        self.forwards = []
        self.steps, self.open = recorder.steps, recorder.open
        self.makers = recorder.makers
        self.paths = {id(module): path for path, module in recorder.model.named_modules()}
        before = sys.gettrace()
        sys.settrace(self.quick())
        try:
            yield
        finally:
            sys.settrace(before)
            self.active.clear()
            self.makers = Makers()
            self.steps, self.open = [], []
            self.plans.clear()

    def quick(self) -> Tracer:
        """`on_call` for a forward, where nine frames in ten are a library's: those are let go at once."""
        owner, own, on_call = frames.owner, frames.OWN, self.on_call

        def called(frame: FrameType, event: str, argument: Any) -> Any:
            return on_call(frame, event, argument) if owner(frame.f_code.co_filename) == own else None

        return called

    def recorded(self, model: nn.Module, trace: Trace) -> None:
        """The forward is over; its trace is this."""
        built = self.root is not None and self.root() is model
        self.heard.append(Heard(trace, self.constructors if built else [], self.forwards))

    @property
    def done(self) -> bool:
        return bool(self.heard) and self.heard[-1].trace.failure is None

    def of(self, trace: Trace) -> Heard | None:
        """What was heard while this trace was recorded; it may have been given formulas since."""
        return next((heard for heard in self.heard if _stage_shapes(heard.trace) == _stage_shapes(trace)), None)

    def on_call(self, frame: FrameType, event: str, argument: Any) -> Tracer | None:
        """A frame begins: the trace function of its lines, or None for what is not listed."""
        code = frame.f_code
        if frames.owner(code.co_filename) != frames.OWN:
            if self.building and code.co_name == "__init__" and code is not MODULE_INIT and self.active:
                self.library_module(frame)
            return None
        key = id(code)
        plan = self.plans[key] if key in self.plans else self.plan(frame)
        return None if plan is None else self.listen(frame, plan)

    def plan(self, frame: FrameType) -> WatchedCode | None:
        code = frame.f_code
        name, part = entry_name(code.co_qualname)
        plan = None if code.co_name.startswith("<") else WatchedCode(code, (code.co_filename, name), part, None, {})
        if plan is not None and not part:
            if frame.f_globals.get("__loader__") is not None:
                linecache.lazycache(code.co_filename, frame.f_globals)
            found = function(code.co_filename, code, name)
            marked = marks(code, found.choices) if found.choices else {}
            watched = frozenset(frames.positions(code)[offset // 2][0] for offset in marked)
            plan = plan._replace(function=found, marks=marked, watched=watched)
        self.plans[id(code)] = plan
        return plan

    def listen(self, frame: FrameType, plan: WatchedCode) -> Tracer | None:
        """The trace function of a frame that is listed; a generator that goes on keeps the one it had."""
        before = getattr(frame.f_trace, "__self__", None)
        if isinstance(before, _Listener) and before.lines is self:
            before.resume()
            return before.on_event
        call = self.call(frame, plan)
        return None if call is None else _Listener(self, call, plan, frame).on_event

    def call(self, frame: FrameType, plan: WatchedCode) -> Call | None:
        """The call that the frame is, or is a part of; None where it is not listed."""
        if plan.part:
            around = (call for call in reversed(self.active) if (call.function.file, call.function.name) == plan.entry)
            return next(around, None)
        name, found = frame.f_code.co_name, plan.function
        owner = _first_argument(frame)
        module = owner if isinstance(owner, nn.Module) else None
        listed = "__call__" if module is None else "__init__"  # the one method with a name like `__this__`
        if found is None or (name.startswith("__") and name.endswith("__") and name != listed):
            return None
        if self.building and name == "__init__" and module is not None:
            call = Call(found, None, True, owner=module)
        elif self.building and self.active and not _fills(frame, module):
            call = Call(found, None, module is not None, owner=self.active[-1].owner)
        elif not self.building and self.open:
            path = self.paths.get(id(module)) if module is not None else None
            call = Call(found, self.open[-1].module if path is None else path, path is not None, self.open[-1].index)
        else:
            return None
        (self.constructors if self.building else self.forwards).append(call)
        return call

    def library_module(self, frame: FrameType) -> None:
        """A library's module is made: remember it at the line of the model's own code that makes it."""
        module = _first_argument(frame)
        if not isinstance(module, nn.Module):
            return
        caller, call = frame.f_back, self.active[-1]
        while caller is not None and caller.f_code.co_name.startswith("<"):
            caller = caller.f_back
        if caller is not None and caller.f_code.co_filename == call.function.file:
            call.made.append((caller.f_lineno, module))

    def noted(self, value: object) -> Value | None:
        """What is kept of a value; None for what says nothing about sizes, or does not let itself be asked."""
        kind = type(value)
        if kind is int or (kind is float and self.building):
            return value  # type: ignore[return-value]
        try:
            if value is None or kind in (bool, str) or isinstance(value, nn.Module):
                return None
            if are_sizes(value):
                return tuple(value)
            with UNHEARD():
                return tuple(Made(spec(path, tensor), self.makers.of(tensor)) for path, tensor in leaves(value)) or None
        except Exception:  # a note is never worth the model's forward
            return None

    def read(self, values: Any, bind: Bind) -> Value | None:
        """The value a statement has bound; attributes are looked up without running any of the model's code."""
        value = values.get(bind.name)
        return self.noted(attribute_of(value, bind.attribute) if bind.attribute else value)


LISTENING: ContextVar[Lines | None] = ContextVar("listening", default=None)
"""What builds and recordings of this context are to be heard by; None, and nothing is."""


def current() -> Lines | None:
    """What hears a build or a recording that starts now."""
    lines = LISTENING.get()
    return None if lines is None or lines.done else lines


def _stage_shapes(trace: Trace) -> list[tuple[str, list[tuple[int, ...]]]]:
    return [(stage.name, [spec.shape for spec in stage.outputs]) for stage in trace.stages]


@contextmanager
def listening(lines: Lines) -> Iterator[None]:
    token = LISTENING.set(lines)
    try:
        yield
    finally:
        LISTENING.reset(token)


class _Listener:
    """The trace function of one frame: closes a statement when the next one begins."""

    __slots__ = ("before", "call", "lines", "marks", "part", "raised", "returning", "start", "unit", "units", "watched")

    def __init__(self, lines: Lines, call: Call, plan: WatchedCode, frame: FrameType) -> None:
        self.lines, self.call = lines, call
        self.marks, self.watched, self.part = plan.marks, plan.watched, plan.part
        self.units = call.function.units
        self.unit: Unit | None = None
        self.returning: Unit | None = None
        self.before: list[State] = []
        self.start, self.raised = 0, ""
        if plan.part:
            return
        lines.active.append(call)
        given = []
        for name, line in call.function.arguments.items():
            value = lines.noted(frame.f_locals.get(name)) if name not in ("self", "cls") else None
            if value is not None and not (isinstance(value, float) and value == 0):
                given.append(Bound("argument", name, value, line))
        head = Unit(call.function.first, call.function.head, kind="head")
        call.runs.append(Execution(head, tuple(given), 0, 0))

    def resume(self) -> None:
        """The frame goes on after a `yield`; what ran meanwhile is not its own."""
        if not self.part:
            self.lines.active.append(self.call)
        self.start = len(self.lines.steps)

    def on_event(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            self.call.sides.update(self.marks.get(frame.f_lasti, ()))
        elif event == "line":
            line = frame.f_lineno
            if frame.f_trace_opcodes != (line in self.watched):  # each instruction heard costs as much as a line
                frame.f_trace_opcodes = not frame.f_trace_opcodes
            self.call.ran.add(line)
            self.raised = ""
            unit = self.units.get(line)
            if unit is not self.unit or (unit is not None and unit.optional and unit.first == unit.last):
                self.close(frame, unit)
                self.unit, self.start = unit, len(self.lines.steps)
                optional = unit.binds if unit is not None and unit.optional else ()
                self.before = [state(frame.f_locals, bind) for bind in optional]
        elif event == "exception":
            self.raised = argument[0].__name__
        elif event == "return":
            self.end(frame, argument)
        return self.on_event

    def close(self, frame: FrameType, following: Unit | None) -> None:
        """The statement that ran is over: note what it has bound."""
        unit = self.unit
        if unit is not None and (unit.optional or not left(unit, following)):
            if unit.kind == "return":  # a `finally` or the end of a `with` comes before the frame is left
                self.returning = unit
            self.add(unit, self.bound(frame, unit))

    def bound(self, frame: FrameType, unit: Unit) -> list[Bound]:
        found: list[Bound] = []
        constructor = self.call.function.is_constructor
        values = frame.f_locals if unit.binds else {}
        for place, bind in enumerate(unit.binds):
            if unit.optional and place < len(self.before):
                (held, writes), (before, writes_before) = state(values, bind), self.before[place]
                if held is before and writes == writes_before:
                    continue
            value = self.lines.read(values, bind)
            if value is not None and (constructor or not isinstance(value, float)):
                name = f"{bind.name}.{bind.attribute}" if bind.attribute else bind.name
                found.append(Bound("value", name, value, unit.last))
        return found

    def end(self, frame: FrameType, argument: Any) -> None:
        """The frame returns, yields, or is left by an exception."""
        unit, active = self.unit, self.lines.active
        if not self.part and active and active[-1] is self.call:
            active.pop()
        if unit is None:
            return
        if self.raised:
            self.add(unit, [Bound("raise", self.raised, None, unit.last)])
            return
        if self.returning is not None:
            self.close(frame, None)
            unit, self.start = self.returning, len(self.lines.steps)
        bound = self.bound(frame, unit) if self.returning is None and (unit.optional or not left(unit, None)) else []
        value = None if self.call.function.is_constructor else self.lines.noted(argument)
        if value is not None and not isinstance(value, float):
            kind = "yield" if frame.f_code.co_flags & inspect.CO_GENERATOR else "return"
            bound.append(Bound(kind, "", value, unit.last))
        self.add(unit, bound)

    def add(self, unit: Unit, bound: list[Bound]) -> None:
        end = len(self.lines.steps)
        if bound or end > self.start:
            self.call.runs.append(Execution(unit, tuple(bound), self.start, end))
        self.start = end


def state(values: Any, bind: Bind) -> State:
    """What tells whether a statement that may not run has bound anything: the object, how often it was written to."""
    value = values.get(bind.name)
    if bind.attribute:
        value = getattr(value, "__dict__", {}).get(bind.attribute)
    return value, value._version if isinstance(value, Tensor) and not value.is_inference() else 0


def left(unit: Unit, following: Unit | None) -> bool:
    """Whether a `for` has ended, or a `with` is being left: then the head has bound nothing new."""
    inside = following is not None and unit.body[0] <= following.first <= unit.body[1]
    return unit.kind in ("for", "with") and not inside


def _first_argument(frame: FrameType) -> object:
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None


def _fills(frame: FrameType, module: nn.Module | None) -> bool:
    """Whether the function is given a parameter or another module: it initialises, and makes no sizes."""
    given = map(frame.f_locals.get, frame.f_code.co_varnames[: frame.f_code.co_argcount])
    return any(isinstance(value, (Parameter, nn.Module)) and value is not module for value in given)


def _parameters_of(module: nn.Module, names: dict[int, str], line: int) -> Iterator[Bound]:
    """The parameters of a library's module, each at the first line that made it; no bias beside a weight."""
    whole = str(type(module).__module__).startswith("torch.") and not isinstance(module, CONTAINERS)
    own = dict(module.named_parameters(recurse=whole))
    for name, parameter in own.items():
        full = names.pop(id(parameter), None)
        prefix, _, last = name.rpartition(".")
        beside = f"{prefix}.weight" if prefix else "weight"
        if full is not None and not (last == "bias" and beside in own):
            yield Bound("parameter", name, (Made(spec("", parameter), Maker(full)),), line)
