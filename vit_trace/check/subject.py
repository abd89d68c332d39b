"""A spec examined: its facts, with a trace behind them, and the way to examine it again at other values.

The built-in ViT is traced with one layer, which stands for all of them; everybody else's model as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vit_trace.base.trace import Diagnostic, Trace
from vit_trace.check.facts import Facts, of_builtin, of_foreign
from vit_trace.check.rules import Change
from vit_trace.config import Settled
from vit_trace.config.json_text import JsonSpans, json_spans
from vit_trace.diagnose.resolve import foreign, of_settings, settings
from vit_trace.targets.spec import is_foreign
from vit_trace.targets.target import Target, value_words

if TYPE_CHECKING:
    from vit_trace.targets.request import Request


@dataclass(frozen=True)
class Subject:
    """One config: what is known of it, its counts, what its trace says of it, and how to look at it at other values.

    `again` raises whatever the model raises where the values are none for it.
    """

    facts: Facts
    parameters: int
    flops: int
    said: tuple[Diagnostic, ...]
    again: Callable[[Change], Subject]

    @property
    def runs(self) -> bool:
        return all(one.severity != "error" for one in self.said)


def examined(spec: str | None, model: Request) -> Subject:
    """The subject that a spec names. Raises Refused and ConfigError."""
    if spec is not None and is_foreign(spec):
        return of_spec(spec, model, json_places(spec))
    return of_config(settings(spec, model), spec, model)


def of_config(settled: Settled, spec: str | None, model: Request) -> Subject:
    """The built-in ViT at some settings."""
    from vit_trace.targets.builtin import change_config

    target = of_settings(spec, settled, model)

    def again(change: Change) -> Subject:
        return of_config(Settled(change_config(settled.config, change), settled.given), spec, model)

    facts = of_builtin(settled, target)
    if model.inputs or model.train:
        return subject(facts, traced(target, model), again)
    one_layer = settled._replace(config=replace(settled.config, depth=1))
    trace = traced(of_settings(spec, one_layer, model), model)
    inside = [stage for stage in trace.stages if stage.name.startswith("transformer.layers.0.")]
    more = settled.config.depth - 1
    return Subject(
        facts,
        trace.totals.parameters + more * sum(stage.parameters for stage in inside),
        trace.totals.flops + more * sum(stage.flops for stage in inside),
        said_of(trace),
        again,
    )


def of_spec(spec: str, model: Request, found: JsonSpans | None) -> Subject:
    """Somebody else's model."""
    from vit_trace.targets.complaints import contained

    target = foreign(spec, model)

    def again(change: Change) -> Subject:
        more = tuple(f"{name}={value_words(value)}" for name, value in change.items())
        return of_spec(spec, model.adding(*more), found)

    with contained():
        trace = traced(target, model)
    facts = of_foreign(target, trace, found.values if found else {})
    return subject(with_fields(facts, found), trace, again)


def subject(facts: Facts, trace: Trace, again: Callable[[Change], Subject]) -> Subject:
    return Subject(facts, trace.totals.parameters, trace.totals.flops, said_of(trace), again)


def traced(target: Target, model: Request) -> Trace:
    from vit_trace.diagnose.diagnose import diagnosed

    return diagnosed(target, model.rules, formulas=False)


def said_of(trace: Trace) -> tuple[Diagnostic, ...]:
    """What the trace says: why it failed, what is silently wrong."""
    return (*((trace.failure,) if trace.failure else ()), *trace.diagnostics)


# -- a config.json -------------------------------------------------------------------------------------------------


def json_places(spec: str) -> JsonSpans | None:
    """The places in the config.json that a spec names; None where it names something else."""
    path = Path(spec)
    file = path / "config.json" if path.is_dir() else path
    if file.suffix.lower() != ".json":
        return None
    try:
        return json_spans(file.read_text(encoding="utf-8"), str(file))
    except (OSError, ValueError, LookupError, RecursionError):  # whoever reads it for the model says what is wrong
        return None


def with_fields(facts: Facts, found: JsonSpans | None) -> Facts:
    """The facts with the keys of the config.json, and those that its class reads."""
    if found is None:
        return facts
    from vit_trace.targets.huggingface.configs import known_fields

    fields = {str(path[0]): span for path, span in found.keys.items() if len(path) == 1}
    file = next(iter(fields.values())).file if fields else ""
    return dataclasses.replace(facts, json_fields=fields, class_fields=known_fields(Path(file)) if file else ())
