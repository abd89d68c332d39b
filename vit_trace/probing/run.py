"""Builds a target without memory, records one forward pass, and names its sizes. Other rooms use `run`."""

from msgspec.structs import replace

from vit_trace.base.trace import Trace
from vit_trace.record.meta.collector import uncollected
from vit_trace.targets.target import Target


def run_target(target: Target, rules: bool = True, formulas: bool = True) -> Trace:
    """Build the target's model without memory, trace it and name its dimensions."""
    if target.foreign is not None:
        from vit_trace.probing.foreign import ForeignTracer

        return ForeignTracer(target.foreign, rules).trace(formulas)
    with uncollected():
        trace = trace_once(target, rules)
        if not formulas:
            return trace
        from vit_trace.dims.name import name_dims
        from vit_trace.dims.symbols import split

        probes = [trace_once(probe, rules) for probe in target.probes()]
        named = name_dims(*split(trace, probes), target.repeats)
        return named if trace.failure is not None else replace(named, branches=target.branches, wholes=target.wholes)


def trace_once(target: Target, rules: bool = True) -> Trace:
    """Build the target's model without memory and trace one forward of it."""
    if target.foreign is not None:
        return run_target(target, rules, formulas=False)
    from vit_trace.record.build.anyhow import ON_META
    from vit_trace.record.record import RecordOptions, record

    with uncollected():
        built = ON_META.build(target.build, rules, limited=False)  # a config has limits of its own
        args, kwargs = target.inputs()
        said = target.record(), target.symbols, built.construction
        options = RecordOptions(*said, target.train, rules, limited=False)
        return record(built.model, args, kwargs, options)
