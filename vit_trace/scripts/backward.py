"""Explains a backward that raised: the block that is not recomputed alike, the line of the forward behind it."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from vit_trace.base.trace import Diagnostic, Source, Stage, Trace
from vit_trace.base.words import shape_text
from vit_trace.record.meta.tensors import leaves, shape_of
from vit_trace.record.raised.crash import Crash
from vit_trace.record.record import RecordOptions, record
from vit_trace.record.rungs import mixed
from vit_trace.record.source import frames
from vit_trace.scripts.replay import Root, inputs_on_meta, light_copy, quietly
from vit_trace.scripts.slices import sliced

RECOMPUTED = "recomputed-otherwise"
BACKWARD = "backward-failed"
CHECK = checkpoint._CheckpointFrame.check_recomputed_tensors_match.__code__
ENGINE = torch.autograd.graph._engine_run_backward.__code__


def of_backward(crash: Crash) -> Diagnostic | None:
    """What a backward that raised has to do with the forward; None where nothing is known."""
    if (one := _of_several_numbers(crash) or _of_no_gradient(crash)) is not None:
        return one
    if not any(frame.f_code is ENGINE for frame, _ in crash.entries):
        return None
    with quietly():
        return _of_recomputing(crash) or _of_forward(crash)


def _of_several_numbers(crash: Crash) -> Diagnostic | None:
    """A loss that is not one number, or a gradient of another shape than what it is of."""
    frame = crash.entries[-1][0] if crash.entries else None
    if frame is None or frame.f_code.co_name != "_make_grads" or crash.span is None:
        return None
    name, help = crash.span.text.partition(".backward")[0], tuple[str, ...]()
    for of, given in zip(frame.f_locals.get("outputs", ()), frame.f_locals.get("grads", ()), strict=False):
        shape = shape_text(shape_of(of))
        if given is None and of.numel() != 1:
            message = f"backward starts from one number, and {name} is {shape}"
            help = (f"{name}.mean().backward(), or a loss without reduction='none'",)
        elif isinstance(given, Tensor) and shape_of(given) != shape_of(of):
            message = f"the gradient {shape_text(shape_of(given))} is given to backward of {name} {shape}"
        else:
            continue
        return Diagnostic(BACKWARD, "error", message, crash.span, (f"RuntimeError: {crash.error}",), help)
    return None


def _of_no_gradient(crash: Crash) -> Diagnostic | None:
    """A loss that no parameter with a gradient leads to: a frozen model, no_grad, detach."""
    if "does not require grad and does not have a grad_fn" not in str(crash.error) or crash.span is None:
        return None
    name, frame = crash.span.text.partition(".backward")[0], crash.own[-1][0]
    notes = []
    for held, value in {**frame.f_globals, **frame.f_locals}.items():
        if isinstance(value, nn.Module) and (every := [*value.parameters()]):
            wanted = sum(one.requires_grad for one in every)
            notes.append(f"{wanted} of the {len(every)} parameters of {held} require a gradient")
    if not torch.is_grad_enabled():
        notes.append("gradients are switched off here: torch.no_grad, inference_mode or set_grad_enabled(False)")
    elif any(not note.startswith("0 ") for note in notes):
        notes.append("a detach, no_grad, item or argmax on the way to it ends the gradients")
    message = f"{name} depends on no parameter that requires a gradient"
    return Diagnostic(BACKWARD, "error", message, crash.span, (*notes[:4], f"RuntimeError: {crash.error}"))


# -- checkpoint ---------------------------------------------------------------------------------------------------


def _of_recomputing(crash: Crash) -> Diagnostic | None:
    """The first step of a checkpointed block that differs when the block runs again."""
    check = next((frame for frame, _ in crash.entries if frame.f_code is CHECK), None)
    if check is None:
        return None
    saved, now = check.f_locals.get("x_meta"), check.f_locals.get("recomputed_meta")
    shapes = [tuple(one["shape"]) if isinstance(one, Mapping) and "shape" in one else None for one in (saved, now)]
    call = _checkpointed(check.f_locals.get("self"))
    text = "a checkpointed block is not computed in backward as in forward"
    if None not in shapes:
        text += f": a tensor that was {shape_text(shapes[0] or ())} is now {shape_text(shapes[1] or ())}"
    if call is None:
        return Diagnostic(RECOMPUTED, "error", text, crash.span)
    module, args, kwargs = call
    text = text.replace("a checkpointed block", f"a checkpointed {type(module).__name__}")
    notes, span = [*_grown(module, args, kwargs)], crash.span
    found = _first_difference(module, args, kwargs)
    if found is not None:
        after = found[1]
        span = after.source or span
        shape, then = (shape_text(one.outputs[0].shape) for one in found)
        notes.insert(0, f"{after.name} ({after.operation}) differs between two calls: {shape}, then {then}")
    return Diagnostic(RECOMPUTED, "error", text, span, tuple(notes))


def _checkpointed(held: Any) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any]] | None:
    """The module that was checkpointed, with its arguments."""
    function = getattr(held, "recompute_fn", None)
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    cells = dict(zip(names, getattr(function, "__closure__", None) or (), strict=False))
    with contextlib.suppress(Exception):  # private to torch, and freed at some point
        fn = cells["fn"].cell_contents
        module = getattr(fn, "__self__", fn)
        if isinstance(module, nn.Module):
            return module, tuple(held.get_inputs()), dict(cells["kwargs"].cell_contents)
    return None


def _twice(module: nn.Module, args: Any, kwargs: Any) -> tuple[nn.Module, list[Trace]]:
    copied = light_copy(module)
    given = inputs_on_meta(Root(module, args, kwargs))
    with mixed():
        options = RecordOptions(train=None, limited=False)
        return copied, [record(copied, *given, options) for _ in range(2)]


def _first_difference(module: nn.Module, args: Any, kwargs: Any) -> tuple[Stage, Stage] | None:
    """The same stage of two calls one after the other, where its result differs."""
    _, (first, second) = _twice(module, args, kwargs)
    for one, two in zip(first.stages, second.stages, strict=False):
        if one.kind != "module" and one.outputs and two.outputs and one.outputs[0].shape != two.outputs[0].shape:
            return one, two
    return None


def _grown(module: nn.Module, args: Any, kwargs: Any) -> Iterator[str]:
    """Attributes that a call leaves longer or larger than it found them."""
    before = {path: _sizes(one) for path, one in module.named_modules()}
    copied, _ = _twice(module, args, kwargs)
    for path, one in copied.named_modules():
        for name, (what, size) in _sizes(one).items():
            old = before.get(path, {}).get(name)
            if old is not None and old[1] != size:
                where = f"{path}.{name}".removeprefix(".")
                yield f"{where} changes with each call: {what} {old[1]}, after two more {size}"


def _sizes(module: nn.Module) -> dict[str, tuple[str, Any]]:
    held = vars(module)
    found: dict[str, tuple[str, Any]] = {}
    for name, value in held.items():
        if name.startswith("_") or name == "training":
            continue
        if isinstance(value, (list, dict, set)):
            found[name] = "length", len(value)
        elif type(value) is int:
            found[name] = "value", value
        elif isinstance(value, Tensor):
            found[name] = "shape", shape_text(shape_of(value))
    return found


# -- the forward of a backward --------------------------------------------------------------------------------------


def _of_forward(crash: Crash) -> Diagnostic | None:
    """The line of the forward whose backward raised, found by running both on meta with anomaly detection."""
    place = next(at for at, (frame, _) in enumerate(crash.entries) if frame.f_code is ENGINE)
    caller = crash.caller(place)
    around = sliced(caller, through="backward") if caller is not None else None
    if around is None or not any(True for _ in around.step.children()):
        return None
    step = light_copy(around.step)
    step.requires_grad_(True)
    given = inputs_on_meta(Root(around.step, (), around.given))
    anomaly = torch.autograd.set_detect_anomaly(True, check_nan=False)  # NaN cannot be asked of tensors without values
    with warnings.catch_warnings(record=True) as heard, torch.enable_grad(), anomaly, torch.device("meta"):
        warnings.simplefilter("always")
        try:
            out = step(*given[0], **given[1])
            outputs = [one for _, one in leaves(out) if one.requires_grad]
            torch.autograd.backward(outputs, [torch.empty_like(one) for one in outputs])
        except Exception as again:
            if type(again) is not type(crash.error) or _gist(again) != _gist(crash.error):
                return None
            return _said(crash, _forward_line(str(one.message) for one in heard))
    return None


def _gist(error: BaseException) -> str:
    """What an exception says, without the tensors that it says it of."""
    return re.sub(r"\[?torch\.\w+(\.\w+)? ?|\[[\d, ]*\]+", "", str(error))[:80]


def _forward_line(texts: Iterator[str]) -> Source | None:
    """The innermost line of the program's own that torch names in its account of the forward."""
    for text in texts:
        named = re.findall(r'^ *File "(.+)", line (\d+)', text, re.MULTILINE)
        own = [(file, int(line)) for file, line in named if frames.owner(file) == frames.OWN]
        if own:
            return frames.source(own[-1][0], own[-1][1], own[-1][1], None, None)
    return None


def _said(crash: Crash, span: Source | None) -> Diagnostic | None:
    if span is None:
        return None
    text = str(crash.error)
    quoted = f"{type(crash.error).__name__}: {' '.join(text.split())}"[:600]
    changed = re.search(
        r"\[torch\.\w+ \[([\d, ]*)\]\], which is output \d+ of (\w+?)(?:Backward\d*)?, is at version", text
    )
    if changed is not None:
        shape = shape_text(tuple(int(one) for one in changed[1].replace(" ", "").split(",") if one))
        message = f"the output {shape} of {changed[2]} was changed in place, and backward needs it as it was"
        help = (
            "do not change it in place: x = x + y instead of x += y, relu(x) instead of relu_(x), or clone() it first"
        )
        return Diagnostic(BACKWARD, "error", message, span, (quoted,), (help,))
    return Diagnostic(BACKWARD, "error", "backward of this line failed", span, (quoted,))
