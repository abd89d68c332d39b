"""Runs one forward and returns its Trace: record(model, args, kwargs). Also a forward that raises gives one."""

import contextlib
import inspect
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from vit_trace.base.leaving import exceptions_only, is_their_own
from vit_trace.base.limits import Counter
from vit_trace.base.trace import Construction, Diagnostic, Parameter, Symbol, Target, Totals, Trace, Versions
from vit_trace.record.build.captured import program_of
from vit_trace.record.meta.collector import uncollected
from vit_trace.record.meta.tensors import dtype_name, leaves, size_texts, specs
from vit_trace.record.raised.failure import failing_step, failure_of
from vit_trace.record.recorder import UNHEARD, Location, Recorder, Watcher, numel
from vit_trace.record.source.lines import Lines, current
from vit_trace.record.source.makers import Makers
from vit_trace.version import __version__

SEED = 0
GUESSED = "branch-on-values"
NEXT_WATCHER: ContextVar[list[Watcher] | None] = ContextVar("next_watcher", default=None)
"""Who hears the next recording, whoever asks for it; the list is empty once it has."""


@dataclass(frozen=True)
class RecordOptions:
    """What a trace says of its model, and how the forward is recorded.

    Attributes:
        target: what to say about the model; worked out from it if not given.
        symbols, construction: taken into the trace as they are.
        train: run in training mode instead of evaluation mode; the model's own flags come back afterwards. None: run
            each module in the mode it is in.
        rules: answer common functions on meta by shape rules instead of torch's slower meta kernels.
        truth: what a condition on a tensor without values counts as.
        limit: stages after which the forward is broken off, as if it had failed there.
        limited: hold the forward to `--limit steps`.
        makers: where to note what made each tensor.
        watcher: hears of every function that the forward calls.
        grad: run with gradients, which no trace needs.
    """

    target: Target | None = None
    symbols: Mapping[str, Symbol] = field(default_factory=dict)
    construction: tuple[Construction, ...] = ()
    train: bool | None = False
    rules: bool = True
    truth: bool = True
    limit: int | None = None
    limited: bool = True
    makers: Makers | None = None
    watcher: Watcher | None = None
    grad: bool = False


def record(
    model: nn.Module,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    options: RecordOptions = RecordOptions(),
) -> Trace:
    """Run `model(*args, **kwargs)` once where its parameters are (on meta nothing is computed), and return its trace.

    Returns:
        The trace. Where the forward raised, its `failure` is set and the stages end at the failing one.

    Raises:
        Refused: the forward takes more steps than it may.
    """
    kwargs = dict(kwargs or {})
    recorder = Recorder(model, record.__code__, options.rules)
    recorder.truth, recorder.limit, recorder.watcher = options.truth, options.limit, options.watcher
    if waiting := NEXT_WATCHER.get():
        recorder.watcher = waiting.pop()
    recorder.counter = Counter() if options.limited else None
    lines = current()
    recorder.makers = options.makers or Makers()
    error: BaseException | None = None
    add_inputs(recorder, model.forward, args, kwargs)
    on_meta = all(parameter.is_meta for parameter in model.parameters())
    with exceptions_only(), uncollected(on_meta), _prepared(recorder, options, lines):
        try:
            output = model(*args, **kwargs)
        except BaseException as raised:
            if not is_their_own(raised):
                raise
            error = raised
        else:
            add_output(recorder, output)
            del output
    trace = trace_of(recorder, error, options)
    if lines is not None:
        lines.recorded(model, trace)
    return trace


@contextmanager
def _prepared(recorder: Recorder, options: RecordOptions, lines: Lines | None) -> Iterator[None]:
    """The model in training or evaluation mode with the recorder's hooks on; everything as it was afterwards."""
    train = options.train
    with ExitStack() as stack:
        flags = [(module, getattr(module, "training", train)) for module in recorder.modules]  # a frozen one has none
        if train is not None and any(training is not train for _, training in flags):
            for module, training in flags:
                stack.callback(setattr, module, "training", training)
            try:
                recorder.model.train(train)
            except Exception:  # a module that holds itself, or an exported one, whose train() only raises
                for module in recorder.modules:
                    module.training = train
        stack.enter_context(torch.random.fork_rng(devices=[]))
        torch.default_generator.manual_seed(SEED)
        stack.callback(recorder.forget)
        for module in recorder.modules:
            # by the class: a scripted module refuses its own, though its outermost call does ask for hooks
            before = nn.Module.register_forward_pre_hook(module, recorder.enter, prepend=True, with_kwargs=True)
            stack.callback(before.remove)
            after = nn.Module.register_forward_hook(module, recorder.leave, with_kwargs=True, always_call=True)
            stack.callback(after.remove)
        if "torch._dynamo" in sys.modules:  # a compiled module runs as it was written: a compiler hears no steps
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(torch.set_grad_enabled(options.grad))
        stack.enter_context(recorder)
        if lines is not None:
            stack.enter_context(lines.forward(recorder))
        yield


def add_inputs(
    recorder: Recorder, called: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """One stage per argument that holds tensors, under the name that what is `called` has for it."""
    recorder.makers.hold_model(recorder.model)
    program = program_of(recorder.model)
    names = [*program.names] if program is not None else []
    with contextlib.suppress(TypeError, ValueError):  # not written in Python
        parameters = inspect.signature(called).parameters.values()
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = names or [parameter.name for parameter in parameters if parameter.kind in kinds]
    given = [(names[place] if place < len(names) else f"input{place}", value) for place, value in enumerate(args)]
    for name, value in (*given, *kwargs.items()):
        found = specs(value)
        if found:
            step = recorder.add(Location("", name, None), "input", "input", (), found)
            recorder.makers.note_outputs(step.index, value)


def add_output(recorder: Recorder, output: Any) -> None:
    """The stage of what was returned."""
    recorder.close_einops()
    with UNHEARD():
        outputs = specs(output)
        step = recorder.add(Location("", "output", None), "output", "output", outputs, outputs)
        recorder.makers.note_inputs(step.index, (tensor for _, tensor in leaves(output)))


def trace_of(recorder: Recorder, error: BaseException | None, options: RecordOptions) -> Trace:
    """The trace of what the recorder saw."""
    failure = None if error is None else failure_of(error, failing_step(error, recorder), recorder)
    _count_uncalled(recorder)
    model = recorder.model
    conditions = "condition" if recorder.guesses == 1 else "conditions"
    guessed = f"the forward branches on values: {recorder.guesses} {conditions} taken as {recorder.truth}"
    stages = tuple(step.frozen(recorder.makers.feeding(step.index)) for step in recorder.steps)
    device = next((parameter.device.type for parameter in model.parameters()), "cpu")
    parameters = list(model.named_parameters())
    shapes = [() if is_lazy(parameter) else tuple(parameter.shape) for _, parameter in parameters]
    return Trace(
        schema="vit-trace/1",
        versions=Versions(__version__, str(torch.__version__), platform.python_version()),
        target=options.target or Target(spec="", class_=type(model).__name__, device=device),
        symbols=dict(options.symbols),
        construction=options.construction,
        parameters=tuple(
            Parameter(name, shape, size_texts(shape), dtype_name(parameter.dtype))
            for (name, parameter), shape in zip(parameters, shapes, strict=True)
        ),
        stages=stages,
        outputs=stages[-1].outputs if failure is None else (),
        totals=Totals(
            stages=len(stages),
            parameters=sum(numel(parameter) for _, parameter in parameters),
            parameter_bytes=sum(numel(parameter) * parameter.element_size() for _, parameter in parameters),
            flops=sum(stage.flops for stage in stages),
        ),
        failure=failure,
        diagnostics=(Diagnostic(GUESSED, "note", guessed),) if recorder.guesses else (),
    )


def _count_uncalled(recorder: Recorder) -> None:
    """Give the parameters of modules that were never called to the nearest module around them that was.

    Some models use `self.proj.weight` without calling `self.proj`; the column must still add up to the total.
    """
    called = {step.module: step for step in reversed(recorder.steps) if step.kind == "module"}
    for known in recorder.known.values():
        held = (known.module._parameters.get(name) for name in known.lazy)
        known.parameters += sum(numel(parameter) for parameter in held if parameter is not None)
        path = known.path
        while known.parameters and path not in called and path:
            path = path.rpartition(".")[0]
        if known.parameters and path in called:
            called[path].parameters += known.parameters
            known.parameters = 0
