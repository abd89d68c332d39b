"""Traces a library's or the user's model: finds a way to feed it that runs, then its formulas."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from msgspec.structs import replace

from vit_trace.base import network
from vit_trace.base import trace as schema
from vit_trace.base.trace import Symbol, Trace
from vit_trace.probing.bounded import Bounded, Looping, TooLong
from vit_trace.probing.probing import Prober, Ran, most_stages, noted
from vit_trace.probing.sizes import Sizes, Style, group_of
from vit_trace.record.build.anyhow import ON_META, Built
from vit_trace.record.build.captured import holds_fixed_program
from vit_trace.record.raised.programs import CALL
from vit_trace.record.record import RecordOptions
from vit_trace.record.rungs import RUNGS, Rung, Runnable, trace_anyhow
from vit_trace.targets.complaints import contained, silenced
from vit_trace.targets.inputs import Inputs, Plan
from vit_trace.targets.knobs import Changes, change_values, image_places, leaves_of
from vit_trace.targets.recipe import showable
from vit_trace.targets.target import Foreign, Sample, lines_of

MOST_CHANNELS = 4
"""Channels of an image above which its axes are taken to be in another order."""

INPUTS = {"channels": "c", "frames": "T", "frame_patch": "T", "length": "L"}
"""Roles that change the input, with the axis they change: not varied where the input has no such axis."""

FAKE_COST = 10
"""Stages on meta that one stage under FakeTensorMode counts as."""

FLOPS_PER_STAGE = 1_000_000
"""FLOPs of a forward with values that count as one stage on meta."""

CHEAPEST, SMALLEST = 3, 4
"""Settings that are kept to run the model with values: of those that formulas were probed at, and small ones."""

CALLS_PER_STAGE = 4
"""Calls of torch in constructors that count as one stage on meta."""

QUICK = 10_000
"""Stages above which a forward with values is not traced again for formulas."""


MADE_ALREADY = "name the class, or a function, that makes it"


class _Fed(NamedTuple):
    """A trace at the real sizes, the plan that fed it, and the rung that it ran on."""

    trace: Trace
    plan: Plan
    rung: Rung

    @property
    def cost(self) -> int:
        """What tracing it again counts, in stages on meta."""
        stages = len(self.trace.stages)
        if self.rung.quick:
            return stages
        if self.rung.device == "fake":
            return FAKE_COST * stages
        return stages + self.trace.totals.flops // FLOPS_PER_STAGE


def _steps(trace: Trace) -> list[tuple[str, str, list[tuple[int, ...]]]]:
    """What a forward does: its stages with their shapes."""
    return [(one.name, one.operation, [spec.shape for spec in one.outputs]) for one in trace.stages]


def _fed_at(plan: Plan, values: Mapping[str, int], batch: int) -> Inputs:
    """The inputs at some sizes, of a batch of another size."""
    return plan.inputs({**values, "b": batch})


class Trial(NamedTuple):
    """A model at other settings, how it is made, and the lines that the loops of its constructors ran."""

    built: Built
    make: Callable[[], object]
    lines: int


@dataclass(frozen=True)
class ForeignTracer:
    """Traces one foreign model; `rules` says whether shapes come from our rules or from torch's meta kernels.

    `lines` gets those that each of its constructors ran.
    """

    foreign: Foreign
    rules: bool
    lines: list[int] = dataclasses.field(default_factory=list)

    def trace(self, formulas: bool = True) -> Trace:
        """The trace of one forward, with formulas where they are wanted and can be found."""
        with contained() if self.foreign.heard else silenced():
            real = self.first()
        width = real.plan.sizes.get("W", MOST_CHANNELS + 1)
        if not formulas or (real.trace.failure is not None and width <= MOST_CHANNELS):
            self.sample(real, self.sizes(real.plan))
            return real.trace  # the channels are where the width should be: no formula would be true
        with silenced():
            return self.named(real)

    def named_beside(self, real: Trace) -> Trace | None:
        """A trace that was made of the same model elsewhere, with formulas; None where the model does otherwise here.

        Of its hyperparameters it says those that symbols stand for too.
        """
        fed = self.first()
        if _steps(fed.trace) != _steps(real):
            return None
        named = self.named(fed._replace(trace=real))
        turned = {one.hyperparameter.partition("[")[0] for one in named.symbols.values() if one.hyperparameter}
        shown = {name: value for name, value in showable(self.foreign.arguments).items() if name in turned}
        values = {**shown, **self.foreign.hyperparameters}
        return replace(named, target=replace(named.target, hyperparameters=values))

    def first(self) -> _Fed:
        """The trace on the first plan that runs; else on the first, or of tokens too that which goes furthest."""
        traced: list[_Fed] = []
        for plan in self.foreign.plans:
            traced.append(self.run(plan))
            failure = traced[-1].trace.failure
            if failure is None:
                self.foreign.fitting[:] = [plan]
            if failure is None or failure.code == network.CODE:
                return traced[-1]
        guessed = any("n" in plan.sizes for plan in self.foreign.plans)
        return max(traced, key=lambda one: len(one.trace.stages)) if guessed else traced[0]

    def run(self, plan: Plan) -> _Fed:
        """One forward at the real sizes."""
        built, make = self.foreign.built, self.foreign.make
        rungs = RUNGS[-1:] if built.is_real else RUNGS
        trace, rung = trace_anyhow(Runnable(built.model, make), lambda: plan.inputs({}), self.options(built), rungs)
        return _Fed(replace(trace, target=replace(trace.target, device=rung.device)), plan, rung)

    def options(self, built: Built) -> RecordOptions:
        """What a trace records about its model, and how."""
        foreign = self.foreign
        record = schema.Target(foreign.spec, type(foreign.built.model).__name__, dict(foreign.hyperparameters))
        return RecordOptions(record, {}, built.construction, foreign.train, self.rules)

    def named(self, real: _Fed) -> Trace:
        """The trace with formulas, unless it computes values and is large."""
        trace, plan, rung = real
        if not rung.quick and real.cost > QUICK:
            more = f"counts as {real.cost:,} stages, more than {QUICK:,}"
            return noted(trace, f"sizes have no formulas: one forward on {trace.target.device} {more}")
        in_program = trace.failure is not None and trace.failure.call == CALL
        if in_program or holds_fixed_program(self.foreign.built.model):
            return noted(trace, "sizes have no formulas: the model holds a program that was captured at these sizes")
        sizes = self.sizes(plan)
        limit = None if trace.failure is None else most_stages(trace)

        def probe(changes: Changes, values: Mapping[str, int], symbols: Mapping[str, Symbol]) -> Trace | None:
            return self.probe(changes, plan, values, {"symbols": symbols, "limit": limit}, rung)

        cost = real.cost + self.foreign.built.calls // CALLS_PER_STAGE
        prober = Prober(trace, sizes, probe, (cost, self.lines), rung.quick)
        named = prober.named()
        if self.foreign.again is None:
            what = f"{self.foreign.spec} is made already: only its input was varied"
            named = noted(named, f"no formulas for what its constructor was given: {what}", (MADE_ALREADY,))
        self.sample(real, prober.sizes, prober.chosen, sorted(prober.ran, key=itemgetter(0))[:CHEAPEST])
        return named

    def sizes(self, plan: Plan) -> Sizes:
        """What can be varied."""
        foreign = self.foreign
        knobs = [knob for knob in foreign.knobs if knob.role not in INPUTS or INPUTS[knob.role] in plan.sizes]
        changed = foreign.arguments if foreign.again is not None else {}
        leaves = leaves_of(changed, {path for knob in knobs for path, _ in knob.places})
        return Sizes(tuple(knobs), image_places(changed), plan.sizes, tuple(leaves), foreign.built.lines)

    def sample(self, real: _Fed, sizes: Sizes, chosen: Style | None = None, ran: Sequence[Ran] = ()) -> None:
        """Keep a few small settings and the real one, for whoever runs the model with values: those that `ran` too."""
        groups = frozenset(group_of(knob) for knob in sizes.knobs)
        sets: tuple[frozenset[str], ...] = (groups, groups - {"patch", "window"}, frozenset())
        tried = [Style(some, even, image) for some in sets for even in (2, 8) for image in ("exact", "square exact")]
        first = (dataclasses.replace(chosen, even=2), chosen) if chosen is not None else ()
        small = {str(one): one for one in map(sizes.smallest, (*first, *tried)) if not sizes.wider(one)}
        own = [self.sampled(real.plan, sizes.changes(one), one) for one in [*small.values()][:SMALLEST]]
        probed = [self.sampled(real.plan, changes, values, flops) for flops, changes, values in ran]
        whole = dataclasses.replace(self.sampled(real.plan, {}, real.plan.sizes, real.trace.totals.flops), own=True)
        lines = lines_of(real.trace)
        samples = [*own[:1], *probed, *own[1:], whole]
        self.foreign.samples[:] = [dataclasses.replace(one, lines=lines) for one in samples]

    def sampled(self, plan: Plan, changes: Changes, values: Mapping[str, int], flops: int = 0) -> Sample:
        """The model with some arguments changed, fed with some sizes changed."""
        again = self.foreign.again
        build = self.foreign.make if again is None else partial(again, changes)
        return Sample(build, partial(_fed_at, plan, values), flops, key=self.key(plan, changes, values))

    def key(self, plan: Plan, changes: Changes, values: Mapping[str, int]) -> object:
        """What makes a sample the same as another: its class with all that it is given; None where that may hide more.

        Only of a model that is a call of its class.
        """
        call, arguments = self.foreign.built.call, self.foreign.arguments
        if call is None or plan.make is not None or call.arguments.keys() != arguments.keys():
            return None
        made = change_values(arguments, changes)
        text = repr((self.foreign.spec, made, call.positional, plan.feeds, {**plan.sizes, **values}, plan.fixed))
        return None if " at 0x" in text or "tensor(" in text else (call.made, text)

    def probe(
        self, changes: Changes, plan: Plan, values: Mapping[str, int], more: Mapping[str, Any], rung: Rung
    ) -> Trace | None:
        """The trace at other sizes, on the rung of the real one; None where it fails to build. Raises TooLong."""
        try:
            return self.variant(changes, partial(plan.inputs, values), more, rung)
        except TooLong:
            raise
        except Exception:
            return None

    def making(self, changes: Changes) -> Callable[[], object]:
        """How the model is made with some arguments changed, if they can be."""
        again = self.foreign.again
        return self.foreign.make if again is None else partial(again, changes)

    def trial(self, changes: Changes) -> Trial:
        """The model with some arguments changed, built in the least time. Raises TooLong, and what its class raises."""
        way, make = self.foreign.built.rung, Looping(self.making(changes), failed=True)
        with make.telling():
            built = way.build_unwatched(make, self.rules) if way is ON_META else way.build(make, self.rules)
        return Trial(built, make, make.lines)

    def fed(self, trial: Trial, inputs: Callable[[], Inputs], rung: Rung) -> Trace:
        """The trace of a trial."""
        options = self.options(trial.built)
        return trace_anyhow(Runnable(trial.built.model, trial.make), inputs, options, (rung,)).trace

    def variant(self, changes: Changes, inputs: Callable[[], Inputs], more: Mapping[str, Any], rung: Rung) -> Trace:
        """The trace with some arguments changed. Raises TooLong, and what the constructor raises."""
        way, make = self.foreign.built.rung, Bounded(self.making(changes), more.get("limit") is not None)
        try:
            with make.telling():
                built = way.build(make, self.rules, limited=way.device != "meta")  # there a wide one takes no memory
        finally:
            self.lines.append(make.lines)
        options = dataclasses.replace(self.options(built), **more)
        return trace_anyhow(Runnable(built.model, make), inputs, options, (rung,)).trace
