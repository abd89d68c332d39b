"""Explains an exception that ended a program: finds the call that failed, runs it again without memory, says why."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import islice
from typing import Any

from msgspec import structs
from torch import nn

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Diagnostic, Failure, Trace
from vit_trace.record.raised.crash import Crash, Entry, crashes, held_by
from vit_trace.record.source import frames
from vit_trace.scripts.arrays import of_arrays
from vit_trace.scripts.makers import with_maker
from vit_trace.scripts.origins import origins
from vit_trace.scripts.replay import Root, replayed
from vit_trace.scripts.saved import left_by_child, told
from vit_trace.scripts.slices import Excerpt, Sliced, sliced

SILENT = {"python-error", "internal-defect"}
"""Codes that say no more than Python does."""

STEPS = ("training_step", "validation_step", "test_step", "predict_step", "on_")
"""Methods of a module that are a program around it, as Lightning calls them."""


MOST_OPERANDS = 4
"""Operands whose origin is said."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """What ended a program: diagnostics, the failing forward up to there if there was one."""

    diagnostics: tuple[Diagnostic, ...]
    trace: Trace | None = None

    def text(self, stages: bool = False) -> str:
        """The diagnostics as a person reads them, and the table of the stages up to the failure."""
        return told(self.diagnostics, self.trace if stages else None)

    def __str__(self) -> str:
        return self.text().strip("\n")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def explanation(error: BaseException) -> Explanation | None:
    """Why a program ended; None where no shape is the reason."""
    if (left := left_by_child(error)) is not None:
        return Explanation(left.diagnostics, left.trace)
    for crash in crashes(error):
        try:
            for explain in _EXPLAINERS:
                if (found := explain(crash)) is not None:
                    return found
        finally:
            crash.forget()
    return None


def within_factory(refused: Refused) -> tuple[Diagnostic, ...]:
    """A refusal's diagnostics; of a factory that fails outside of constructors, as of a program that ended there."""
    from vit_trace.diagnose.construct import first_cause

    error, known = first_cause(refused), refused.diagnostics
    if error is None or len(known) != 1 or known[0].help or Crash(error).constructor is not None:
        return known
    found = explanation(error)
    if found is None:
        return known
    last = found.diagnostics[-1]
    spec = known[0].message.partition(" ")[0].rpartition(":")[2]
    return (*found.diagnostics[:-1], structs.replace(last, notes=(f"{spec} fails here", *last.notes)))


def _of_call(crash: Crash) -> Explanation | None:
    """A call of a module, of one of its methods, or of torch in plain code."""
    if not crash.is_of_shapes():
        return None
    for root in _roots(crash):
        trace = replayed(root, crash, partial(with_maker, crash))
        if trace is None or trace.failure is None or _says_nothing(trace.failure):
            continue
        notes = (*_origins(trace.failure, crash), *_reached_from(trace.failure, crash), *trace.failure.notes)
        failure = structs.replace(trace.failure, notes=notes, **_in_its_words(trace, root.model))
        trace = structs.replace(trace, failure=failure)
        return Explanation((*trace.diagnostics, failure), trace)
    return None


def _says_nothing(failure: Failure) -> bool:
    """Whether it says no more than Python: no cause is known, and torch's words name no size of what it was given."""
    if failure.code != "forward-failed":
        return failure.code in SILENT
    named = {int(number) for number in re.findall(r"\b\d{1,9}\b", failure.exception)}
    return len(named & {size for one in failure.operands for size in one.shape}) < 2


def _origins(failure: Failure, crash: Crash) -> list[str]:
    """Where the operands of a failing call in plain code come from: logits 4×21×14×14 is the output of Seg (model)."""
    own = crash.own
    if crash.calls and (caller := crash.caller(crash.calls[0])) is not None:
        own = own[: own.index(caller) + 1]
    if not own or failure.span is None or failure.span.file != own[-1][0].f_code.co_filename:
        return []
    return [*islice(origins(own), MOST_OPERANDS)]


def _in_its_words(trace: Trace, model: nn.Module) -> dict[str, Any]:
    """The remedies for the input of some lines of the program, which call it something else than x."""
    failure, given = trace.failure, [stage.name for stage in trace.stages if stage.kind == "input"]
    if failure is None or not isinstance(model, Excerpt) or not given or not given[0].isidentifier():
        return {}
    texts = {
        one.change: one.change.replace(": x.", f": {given[0]}.") for one in failure.remedies if one.kind == "input"
    }
    remedies = tuple(structs.replace(one, change=texts.get(one.change, one.change)) for one in failure.remedies)
    help = (*failure.help,)
    for old, new in texts.items():
        help = tuple(one.replace(old, new) for one in help)
    return {"remedies": remedies, "help": help}


def _reached_from(failure: Failure, crash: Crash) -> list[str]:
    """The program's own line that led to a failure in the files of a library."""
    spans = (
        frames.span(frame.f_code, lasti)
        for frame, lasti in reversed(crash.own)
        if not frames.is_installed(frame.f_code.co_filename)
    )
    line = next((span for span in spans if span is not None), None)
    if line is None or failure.span is None or not frames.is_installed(failure.span.file):
        return []
    return [f"reached from {line.file}:{line.line}: {' '.join(line.text.split())}"]


def _roots(crash: Crash) -> Iterator[Root]:
    """What to run again, the widest first that says enough."""
    casts = _under_autocast(crash)
    method = _method_call(crash)
    if method is not None and (around := sliced(method)) is not None:
        yield _root_of(around, casts)
    if crash.calls:
        frame, _ = crash.entries[crash.calls[0]]
        model: Any = frame.f_locals.get("self")
        args, kwargs = frame.f_locals.get("args"), frame.f_locals.get("kwargs")
        caller = crash.caller(crash.calls[0])
        around = sliced(caller) if caller is not None else None
        if around is not None and (_made_by_others(around) or _is_of_torch(model)):
            yield _root_of(around, casts)
        if isinstance(model, nn.Module):
            compiled = type(crash.error).__module__.startswith("torch._dynamo")
            yield Root(held_by(model), args or (), kwargs or {}, casts, compiled)
    for entry in reversed(crash.own[-2:]):
        for reach in (True, False):
            around = sliced(entry, reach)
            if around is not None:
                yield _root_of(around, casts)


def _root_of(around: Sliced, casts: bool) -> Root:
    return Root(around.step, (), around.given, casts)


def _is_of_torch(model: Any) -> bool:
    """Whether it is a loss or a layer: the program's own lines say more of it than its class."""
    return not any(True for _ in model.parameters()) or type(model).__module__.startswith("torch.nn.")


def _made_by_others(around: Sliced) -> bool:
    """Whether several modules take part: what the failing one is given comes from another."""
    return len(list(around.step.children())) > 1


def _method_call(crash: Crash) -> Entry | None:
    """The own frame that calls a method of a module, such as forward_features, before any module is called."""
    for place, (frame, _) in enumerate(crash.entries[: crash.calls[0] if crash.calls else None]):
        held, name = frame.f_locals.get("self"), frame.f_code.co_name
        if isinstance(held, nn.Module) and not name.startswith(("__", "_call_impl", "_wrapped_call_impl", *STEPS)):
            return crash.caller(place)
    return None


def _under_autocast(crash: Crash) -> bool:
    from vit_trace.scripts.around import autocast_at

    return any(autocast_at(frame, lasti) for frame, lasti in crash.own)


def _of_loading(crash: Crash) -> Explanation | None:
    from vit_trace.scripts.loading import of_loading

    found = of_loading(crash)
    return Explanation(found) if found else None


def _of_loader(crash: Crash) -> Explanation | None:
    """A data loader, also one whose worker raised."""
    if "torch.utils.data" not in sys.modules or not crash.is_of_shapes():
        return None
    from vit_trace.scripts.loaders import again_here, first_line, of_collating

    if (raised := again_here(crash)) is not None:
        found = explanation(raised)
        first = found.diagnostics[-1] if found is not None else None
        if found is None or first is None:
            return None
        note = "a worker of the loader raised it; it came again with the first items of the dataset"
        last = structs.replace(first, notes=(*first.notes, note), span=first.span or first_line(crash))
        return Explanation((*found.diagnostics[:-1], last), found.trace)
    collating = of_collating(crash)
    return Explanation(collating[:1], collating[1]) if collating is not None else None


def _of_constructor(crash: Crash) -> Explanation | None:
    if crash.constructor is None:
        return None
    from vit_trace.scripts.constructing import of_constructor

    found = of_constructor(crash)
    return Explanation((found,)) if found is not None else None


def _of_backward(crash: Crash) -> Explanation | None:
    if not crash.is_of_shapes():
        return None
    from vit_trace.scripts.backward import of_backward

    found = of_backward(crash)
    return Explanation((found,)) if found is not None else None


def _of_arrays(crash: Crash) -> Explanation | None:
    found = of_arrays(crash)
    return Explanation((found,)) if found is not None else None


def _of_memory(crash: Crash) -> Explanation | None:
    from vit_trace.scripts.memory import of_memory

    found = of_memory(crash, _under_autocast(crash))
    return Explanation((found,)) if found is not None else None


_EXPLAINERS: tuple[Callable[[Crash], Explanation | None], ...] = (
    _of_arrays,
    _of_memory,
    _of_loading,
    _of_backward,
    _of_loader,
    _of_constructor,
    _of_call,
)
