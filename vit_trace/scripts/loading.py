"""Explains a load_state_dict that raised, as `check --checkpoint` does, from the two state dicts at hand."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from msgspec import structs
from torch import Tensor, nn

from vit_trace.base.trace import Diagnostic
from vit_trace.record.raised.crash import Crash
from vit_trace.record.source import frames
from vit_trace.scripts.replay import light_copy, quietly
from vit_trace.targets.target import Target
from vit_trace.weights.fit import fit
from vit_trace.weights.loading import state_dict_at_hand

LOAD = nn.Module.load_state_dict.__code__
NESTED = "checkpoint-nested"


def of_loading(crash: Crash) -> tuple[Diagnostic, ...] | None:
    """One diagnostic for each cause; None where the failure is another one."""
    found = next(((at, frame) for at, (frame, _) in enumerate(crash.entries) if frame.f_code is LOAD), None)
    if found is None or not isinstance(crash.error, RuntimeError):
        return _of_optimizer(crash) if isinstance(crash.error, ValueError) else None
    place, frame = found
    model, state = frame.f_locals.get("self"), frame.f_locals.get("state_dict")
    caller = crash.caller(place)
    if not isinstance(model, nn.Module) or not isinstance(state, Mapping):
        return None
    span = frames.span(caller[0].f_code, caller[1]) if caller is not None else None
    inner = _nested_in(state)
    with quietly():
        diagnostics = [] if inner else _misfits(model, state, _written(span))
        if inner:
            left = _misfits(model, state[inner], f"{_written(span)}[{inner!r}]")
            outcome = "every tensor fits" if not left else f"then {left[0].message}"
            message = f"the state dict is under the key {inner!r} of what was loaded, beside {len(state) - 1} others"
            help = (f"load_state_dict({_written(span)}[{inner!r}]) (tried: {outcome})",)
            diagnostics = [Diagnostic(NESTED, "error", message, None, (), help)]
    errors = [one for one in diagnostics if one.severity == "error"] or diagnostics
    if not errors:
        return None
    return tuple(structs.replace(one, span=span, severity="error") if one is errors[0] else one for one in diagnostics)


def _of_optimizer(crash: Crash) -> tuple[Diagnostic, ...] | None:
    """An optimizer's load_state_dict: the groups that have another number of parameters than those that were saved."""
    optim = sys.modules.get("torch.optim")
    for at, (frame, _) in enumerate(crash.entries):
        if frame.f_code.co_name != "load_state_dict" or optim is None:
            continue
        optimizer, state = frame.f_locals.get("self"), frame.f_locals.get("state_dict")
        if not isinstance(optimizer, optim.Optimizer) or not isinstance(state, Mapping):
            continue
        saved = [len(group["params"]) for group in state.get("param_groups", ())]
        here = [len(group["params"]) for group in optimizer.param_groups]
        other = next((at for at, (one, two) in enumerate(zip(saved, here, strict=False)) if one != two), None)
        if other is not None:
            counted = f"{saved[other]} parameters in group {other}, the optimizer has {here[other]}"
        elif len(saved) != len(here):
            counted = f"{len(saved)} groups of parameters, the optimizer has {len(here)}"
        else:
            return None
        message, caller = f"the saved state has {counted}", crash.caller(at)
        note = "it was saved for another model, or with other parameters frozen"
        span = frames.span(caller[0].f_code, caller[1]) if caller is not None else None
        return (Diagnostic("optimizer-state", "error", message, span, (note, crash.quoted)),)
    return None


def _misfits(model: nn.Module, state: Mapping[str, Any], written: str) -> list[Diagnostic]:
    bare = light_copy(model)
    target = Target(type(model).__name__, type(model).__name__, {}, lambda: light_copy(bare), lambda: ((), {}))
    return fit(state_dict_at_hand(state, written), target)


def _nested_in(state: Mapping[str, Any]) -> str:
    """The key that holds the tensors; "" where they are here."""
    if any(isinstance(value, Tensor) for value in state.values()):
        return ""
    held = {
        str(key): sum(isinstance(one, Tensor) for one in value.values())
        for key, value in state.items()
        if isinstance(value, Mapping)
    }
    most = max(held, key=lambda key: held[key], default="")
    return most if most and held[most] else ""


def _written(span: Any) -> str:
    """The argument of load_state_dict as it is written."""
    from vit_trace.diagnose.scene import call_written

    call = call_written(span)
    return call.given[0] if call is not None and call.given else "checkpoint"
