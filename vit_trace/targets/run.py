"""Target -> Trace: build on meta, record one forward."""

from __future__ import annotations

from vit_trace.targets.target import Target
from vit_trace.tracing.collector import uncollected
from vit_trace.tracing.schema import Trace


class BuildError(Exception):
    """The model could not be built; the cause is the constructor's own exception."""


def run(target: Target, rules: bool = True, formulas: bool = True) -> Trace:
    """Build the target's model without memory, trace it and name its dimensions. Raises BuildError."""
    if target.trace is not None:
        return target.trace(rules, formulas)
    with uncollected():
        trace = trace_once(target, rules)
        if not formulas:
            return trace
        from vit_trace.dims.given import split
        from vit_trace.dims.name import name_dims

        return name_dims(*split(trace, [trace_once(probe, rules) for probe in target.probes()]), target.repeats)


def trace_once(target: Target, rules: bool = True) -> Trace:
    """Build the target's model without memory and trace one forward of it. Raises BuildError."""
    if target.trace is not None:
        return target.trace(rules, False)
    from vit_trace.tracing.build import build_on_meta
    from vit_trace.tracing.record import record

    with uncollected():
        try:
            model, construction = build_on_meta(target.build, rules)
        except Exception as error:
            raise BuildError(f"{type(error).__name__}: {error}") from error
        args, kwargs = target.inputs()
        return record(
            model,
            args,
            kwargs,
            target=target.record(),
            symbols=target.symbols,
            construction=construction,
            train=target.train,
            rules=rules,
        )
