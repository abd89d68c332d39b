"""Examines a spec: collects its facts with a trace behind them, and does the same again at other values.

The built-in ViT is traced with one layer, which stands for all of them; any other model as it is.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.trace import Diagnostic, Trace
from vit_trace.check.facts import Facts, of_builtin, of_foreign
from vit_trace.check.rules import Change
from vit_trace.config.json_text import json_places
from vit_trace.diagnose.resolve import foreign, found_model, of_settings, settings
from vit_trace.targets.aimed import setting_places
from vit_trace.targets.assignments import literal
from vit_trace.targets.found import Naming, named_by
from vit_trace.targets.spec import is_foreign
from vit_trace.targets.target import Target, value_words

if TYPE_CHECKING:
    from vit_trace.targets.request import Request


@dataclass(frozen=True)
class Examined:
    """One spec, examined: its facts, FLOPs of one forward, stages traced; `said`: failure and warnings of the trace."""

    spec: str | None
    request: Request
    facts: Facts
    parameters: int
    flops: int
    stages: int
    said: tuple[Diagnostic, ...]

    @property
    def runs(self) -> bool:
        return all(one.severity != "error" for one in self.said)


def examined(spec: str | None, request: Request, change: Change | None = None, measured: bool = True) -> Examined:
    """The spec examined, with some of its values changed; `measured`: silent mistakes are looked for.

    Raises Refused, ConfigError, and what the model raises.
    """
    request = request.adding(*(f"{name}={value_words(value)}" for name, value in (change or {}).items()))
    one = named_by(spec, request)
    if spec is not None and (one.spec is not None if one.model is not None else is_foreign(spec)):
        from vit_trace.targets.complaints import returning

        with returning():
            return _library_model(spec, request, one, measured)
    settled = settings(spec, one)
    target = of_settings(spec, settled, one.request)
    facts = of_builtin(settled, target)
    if request.inputs or request.train:
        return _subject(spec, request, facts, _traced(target, request, measured))
    one_layer = settled._replace(config=replace(settled.config, depth=1))
    trace = _traced(of_settings(spec, one_layer, one.request), request, measured)
    subject = _subject(spec, request, facts, trace)
    inside = [stage for stage in trace.stages if stage.name.startswith("transformer.layers.0.")]
    more = settled.config.depth - 1
    return dataclasses.replace(
        subject,
        parameters=subject.parameters + more * sum(stage.parameters for stage in inside),
        flops=subject.flops + more * sum(stage.flops for stage in inside),
    )


def _library_model(spec: str, request: Request, one: Naming, measured: bool) -> Examined:
    from vit_trace.targets.complaints import contained

    target = foreign(spec, request) if one.model is None else found_model(one.model, str(one.spec), one.request)
    with contained():
        trace = _traced(target, one.request, measured)
    facts = of_foreign(target, trace, setting_places(spec, one.model))
    found = json_places(spec)
    fields = {str(path[0]): span for path, span in found.keys.items() if len(path) == 1} if found else {}
    if fields:
        from vit_trace.targets.huggingface.configs import known_fields, read_object

        known = known_fields(Path(next(iter(fields.values())).file))
        changed = {name: literal(text) for name, text in request.assigned.items()}
        values = {**read_object(Path(next(iter(fields.values())).file)), **changed}
        facts = dataclasses.replace(facts, json_fields=fields, class_fields=known, json_values=values)
    return _subject(spec, request, facts, trace)


def _subject(spec: str | None, request: Request, facts: Facts, trace: Trace) -> Examined:
    said = (*((trace.failure,) if trace.failure else ()), *trace.diagnostics)
    return Examined(spec, request, facts, trace.totals.parameters, trace.totals.flops, len(trace.stages), said)


def _traced(target: Target, request: Request, measured: bool) -> Trace:
    from vit_trace.diagnose.diagnose import diagnosed
    from vit_trace.probing.run import run_target

    return (diagnosed if measured else run_target)(target, request.rules, formulas=False)
