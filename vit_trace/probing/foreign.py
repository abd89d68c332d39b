"""Traces a model of a library or of the user: the first way to feed it that runs, then its formulas."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from vit_trace.base import trace as schema
from vit_trace.base.trace import Symbol, Trace
from vit_trace.probing.probing import Prober, most_stages, noted
from vit_trace.probing.sizes import Sizes
from vit_trace.record.build.anyhow import Built
from vit_trace.record.record import RecordOptions
from vit_trace.record.rungs import Rung, Runnable, Traced, trace_anyhow
from vit_trace.targets.complaints import contained, silenced
from vit_trace.targets.inputs import Plan
from vit_trace.targets.knobs import Changes, image_places
from vit_trace.targets.target import Foreign

MOST_COLOURS = 4
"""Largest number of input channels of an image."""

INPUTS = {"channels": "c", "frames": "T", "frame_patch": "T"}
"""Roles that change the input, with the axis they change: not varied where the input has no such axis."""

QUICK = 0.5
"""Seconds of CPU time above which a forward that computes values is not traced again for formulas."""


@dataclass(frozen=True)
class ForeignTracer:
    """Traces one foreign model; `rules` says whether shapes come from our rules or from torch's meta kernels."""

    foreign: Foreign
    rules: bool

    def trace(self, formulas: bool = True) -> Trace:
        """The trace of one forward, with formulas where they are wanted and can be found."""
        with contained() if self.foreign.heard else silenced():
            begun = time.process_time()
            trace, plan, rung = self.first()
            seconds = time.process_time() - begun
        if not formulas or (trace.failure is not None and plan.sizes.get("W", MOST_COLOURS + 1) <= MOST_COLOURS):
            return trace  # the channels stand where the width should be: no formula would be true
        with silenced():
            return self.named(trace, plan, seconds, rung)

    def first(self) -> tuple[Trace, Plan, Rung]:
        """(trace at the real sizes, plan, rung) on the first plan that runs; else on the first plan."""
        first: tuple[Trace, Plan, Rung] | None = None
        for plan in self.foreign.plans:
            trace, rung = self.run(plan)
            if trace.failure is None:
                self.foreign.fitting[:] = [plan]
                return trace, plan, rung
            first = first or (trace, plan, rung)
        assert first is not None
        return first

    def run(self, plan: Plan) -> Traced:
        """The trace of one forward at the real sizes."""
        built, make = self.foreign.built, self.foreign.make
        trace, rung = trace_anyhow(Runnable(built.model, make), lambda: plan.inputs({}), self.options(built))
        return Traced(replace(trace, target=replace(trace.target, device=rung.device)), rung)

    def options(self, built: Built) -> RecordOptions:
        """What the trace of a forward says of its model, and how it is recorded."""
        record = schema.Target(
            self.foreign.spec, type(self.foreign.built.model).__name__, dict(self.foreign.hyperparameters)
        )
        return RecordOptions(record, {}, built.construction, self.foreign.train, self.rules)

    def named(self, trace: Trace, plan: Plan, seconds: float, rung: Rung) -> Trace:
        """The trace with formulas, where tracing it again is cheap."""
        if not rung.quick and seconds > QUICK:
            return noted(trace, f"sizes have no formulas: it runs on {trace.target.device}, which takes long")
        foreign = self.foreign
        knobs = [knob for knob in foreign.knobs if knob.role not in INPUTS or INPUTS[knob.role] in plan.sizes]
        sizes = Sizes(tuple(knobs), image_places(foreign.arguments) if foreign.again is not None else (), plan.sizes)
        limit = None if trace.failure is None else most_stages(trace)

        def probe(values: Mapping[str, int], symbols: Mapping[str, Symbol]) -> Trace | None:
            return self.probe(sizes.changes(values), plan, values, {"symbols": symbols, "limit": limit}, rung)

        return Prober(trace, sizes, probe, seconds, rung.quick).named()

    def probe(
        self, changes: Changes, plan: Plan, values: Mapping[str, int], more: Mapping[str, Any], rung: Rung
    ) -> Trace | None:
        """The trace at other sizes, on the rung of the real one; None where the model cannot be built or fed so."""
        again = self.foreign.again
        make = self.foreign.make if again is None else lambda: again(changes)
        try:
            built = self.foreign.built.rung.build(make, self.rules)
            options = dataclasses.replace(self.options(built), **more)
            return trace_anyhow(Runnable(built.model, make), lambda: plan.inputs(values), options, (rung,)).trace
        except Exception:
            return None
