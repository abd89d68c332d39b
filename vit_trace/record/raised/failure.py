"""Turns the exception of a forward into a Failure: the stage it failed in, and the bare facts."""

import re
import traceback as tracebacks
from types import CodeType, TracebackType

from torch import nn

from vit_trace.base import network
from vit_trace.base.trace import Failure, Source
from vit_trace.base.words import OF_TORCHSCRIPT, message_text
from vit_trace.record.amended import CalledAgain
from vit_trace.record.meta import real
from vit_trace.record.raised.capture import captured
from vit_trace.record.raised.programs import STRINGS, capture_program
from vit_trace.record.recorder import CALL_IMPL, Recorder, Step
from vit_trace.record.source import frames

CODE = "forward-failed"
DEFECT = "internal-defect"
_RUNNING = (Recorder.run, Recorder.inside, Recorder.__torch_function__, CalledAgain.__torch_function__)
OURS = {function.__code__ for function in (*_RUNNING, network.refuse_connection)} | real.RUNNING
"""Our own code that calls of the model run through: an exception there is the model's."""

TEXT_LIMIT = 2000
"""Characters of an exception's own text that are kept."""


def failing_step(error: BaseException, recorder: Recorder) -> Step | None:
    """The stage that raised the exception: a functional one, or the innermost module on the traceback."""
    if recorder.raised is not None and recorder.raised[0] in _chain(error):
        recorder.raised[1].outputs = ()
        return recorder.raised[1]
    path, in_einops = _innermost_module(error.__traceback__, recorder)
    module = next((step for step in reversed(recorder.steps) if step.kind == "module" and step.module == path), None)
    last = recorder.steps[-1] if recorder.steps else None
    if in_einops and module is not None and last is not None and last.kind == "einops" and last.parent == module.index:
        last.outputs = ()
        return last
    return module


def _chain(error: BaseException) -> list[BaseException]:
    """The exception and those it came from."""
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.append(link)
        link = link.__cause__ or link.__context__
    return found


def _innermost_module(traceback: TracebackType | None, recorder: Recorder) -> tuple[str | None, bool]:
    """(path of the last module entered on the traceback, whether einops was entered after it)."""
    path, in_einops = None, False
    for frame, _ in frames.entries(traceback):
        if frame.f_code is CALL_IMPL:
            module = frame.f_locals.get("self")
            known = recorder.known.get(id(module)) if isinstance(module, nn.Module) else None
            path, in_einops = (known.path, False) if known else (path, in_einops)
        elif frames.owner(frame.f_code.co_filename) == frames.EINOPS:
            in_einops = True
    return path, in_einops


def failure_of(error: BaseException, step: Step | None, recorder: Recorder) -> Failure:
    """The failure as a diagnostic: where it happened, Python's account of it, what is known of the call."""
    text, root = _account(error), recorder.root
    if _is_defect(error, root):
        return _defect(error, step)
    raised = recorder.raised[0] if recorder.raised is not None else None
    fact = captured(error, next((link for link in _chain(error) if link is raised), error), recorder)
    capture_program(fact, step, recorder)
    where = f" in {step.name}" if step is not None and step.name else ""
    # the innermost expression in the model's own files that the exception passed through
    own = [(frame.f_code, lasti) for frame, lasti in frames.entries(error.__traceback__, root) if frames.is_own(frame)]
    spans = [span for code in reversed(own) if (span := frames.span(*code)) is not None]
    asked = network.refusal_behind(error) is not None
    return Failure(
        code=network.CODE if asked else CODE,
        severity="error",
        message=f"forward asks for a download{where}" if asked else f"forward raised {type(error).__name__}{where}",
        span=next(
            (
                span
                for span in (_scripted_line(text), *spans, step and step.source)
                if span and not span.file.startswith(STRINGS)
            ),
            None,
        ),
        notes=tuple(line for line in text.splitlines() if line.strip()),
        help=(network.HELP,) if asked else (),
        stage=step.index if step else None,
        exception=f"{type(error).__name__}: {text}",
        call=fact.call,
        operands=tuple(fact.operands),
        arguments=fact.arguments,
        modules=tuple(fact.modules),
        values=fact.values,
        traceback=fact.traceback,
    )


def _scripted_line(text: str) -> Source | None:
    """The line of the model's own code that TorchScript names in its traceback."""
    named = re.findall(r'^ *File "(.+)", line (\d+)', text, re.MULTILINE) if OF_TORCHSCRIPT in text else []
    own = [(file, int(line)) for file, line in named if frames.owner(file) == frames.OWN]
    found = frames.source(own[-1][0], own[-1][1], own[-1][1], None, None) if own else None
    return found if found is not None and found.text else None


def _is_defect(error: BaseException, root: CodeType) -> bool:
    """Whether the recorder itself broke: the last code of ours on the way is not one that runs the model's calls."""
    last = None
    for frame, _ in frames.entries(error.__traceback__, root):
        if frames.is_own(frame):
            last = None
        elif frame.f_code.co_filename.startswith(frames.MACHINERY):
            last = frame.f_code
    return last is not None and last not in OURS and not isinstance(error, (RecursionError, MemoryError))


def _defect(error: BaseException, step: Step | None) -> Failure:
    """A defect of the recorder: the partial trace is kept, and the model is not to blame."""
    account = f"{type(error).__name__}: {_account(error)}"
    return Failure(
        code=DEFECT,
        severity="error",
        message=f"vit-trace itself failed while it recorded {step.name if step and step.name else 'the model'}",
        notes=(account,),
        help=("this is a defect of vit-trace, not of your model: please report it with the traceback",),
        stage=step.index if step else None,
        exception=account,
        traceback=tuple("".join(tracebacks.format_exception(error)).splitlines()),
    )


def _account(error: BaseException) -> str:
    """The exception's own text, which third-party code may fail to produce."""
    try:
        text = str(error).strip()
        if len(text) <= TEXT_LIMIT or OF_TORCHSCRIPT not in text:
            return text[:TEXT_LIMIT]
        return f"{text[:TEXT_LIMIT]}\n{message_text('', text, TEXT_LIMIT)}"
    except Exception:
        return "(its text could not be read)"
