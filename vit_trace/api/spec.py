"""Traces what a spec names, with settings by name: what `vit_trace.trace("timm:…", image_size=384)` asks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from vit_trace.base.network import closed_meanwhile
from vit_trace.base.refused import Refused
from vit_trace.base.trace import Trace
from vit_trace.targets.flags import INPUT_FLAGS, SIZES


def trace_spec(spec: str, settings: Mapping[str, Any], formulas: bool) -> Trace:
    """The trace of what a spec names. Raises ValueError with the diagnostic."""
    from vit_trace.diagnose.diagnose import diagnosed
    from vit_trace.diagnose.resolve import targeted
    from vit_trace.targets.complaints import contained, returning
    from vit_trace.targets.request import Request

    texts = {name: _text(value) for name, value in settings.items()}
    flags = {name: text for name, text in texts.items() if name in (*INPUT_FLAGS, *SIZES)}
    assignments = tuple(f"{name}={text}" for name, text in texts.items() if name not in flags)
    try:
        with closed_meanwhile(), returning():
            target = targeted(spec, Request(flags, assignments=assignments, formulas=formulas))
            with contained() if target.foreign is not None else nullcontext():
                return diagnosed(target, formulas=formulas)
    except Refused as refused:
        raise ValueError(str(refused)) from refused


def _text(value: Any) -> str:
    """A value as on the command line: (256, 320) is 256x320."""
    sizes = isinstance(value, tuple) and all(type(one) is int for one in value)
    return "x".join(map(str, value)) if sizes else str(value)
