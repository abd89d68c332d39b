"""Somebody else's model as a target: build it once to know it, feed it, trace it, name its sizes.

Libraries differ in how a model is made and made again, and in what it is fed; everything else is here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace as altered

from vit_trace.output import Refused
from vit_trace.targets.complaints import contained, refusal, silenced
from vit_trace.targets.inputs import Plan, given_plan
from vit_trace.targets.knobs import Changes, Knob, Path, changed, image_changes, image_places, knobs_of, number
from vit_trace.targets.request import Request
from vit_trace.targets.settings import Sizes
from vit_trace.targets.target import Target
from vit_trace.tracing import schema
from vit_trace.tracing.schema import Symbol, Trace, Value

if TYPE_CHECKING:
    from vit_trace.tracing.ladder import Built


MOST_COLOURS = 4
"""Channels of an image, at the most."""

INPUTS = {"channels": "c", "frames": "T", "frame_patch": "T"}
"""Knobs that change the input, with the axis they change: left alone where the input has none."""


QUICK = 0.5
"""Seconds that a forward may take that is more than shapes, if it is to be traced again."""


@dataclass(frozen=True)
class Foreign:
    """A model of a library or of the user, built once.

    `arguments` is what it was made of, under the library's names; `again` makes it with some of that changed; `plans`
    are ways to feed it, the first that its forward takes counts; `usual` those it was made for, whatever it is given.
    """

    spec: str
    make: Callable[[], object]
    built: Built
    arguments: Mapping[str, Any]
    knobs: Sequence[Knob]
    again: Callable[[Changes], object] | None
    plans: Sequence[Plan]
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    train: bool = False
    heard: bool = True  # what its code prints has not been printed before
    usual: Callable[[Built], Sequence[Plan]] = lambda _: ()
    fitting: list[Plan] = field(default_factory=list, compare=False)  # the plan that its forward took, once it ran

    def target(self) -> Target:
        return Target(
            spec=self.spec,
            class_name=type(self.built.model).__name__,
            hyperparameters=self.hyperparameters,
            build=self.make,  # type: ignore[arg-type]  # known to give a module: it has been called
            inputs=lambda: (self.fitting or self.plans)[0].inputs({}),
            trace=self.trace,
            train=self.train,
            variant=self.variant if self.again is not None else None,
            expected=self.expected(),
            batch=self.plans[0].sizes.get("b"),
            feeds=lambda batch: [partial(plan.inputs, {"b": batch}) for plan in self.plans],
            arguments=self.arguments,
        )

    def variant(self, values: Mapping[str, Value]) -> Target:
        """The target with some hyperparameters changed, fed as before. Raises Refused."""
        again = self.again
        assert again is not None
        arguments = {**self.arguments, **values}
        base: Changes = {(name,): tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        make = partial(again, base)
        with silenced():
            built = build_first(self.spec, make)
        return replace(
            self,
            make=make,
            built=built,
            heard=False,
            fitting=[],
            arguments=arguments,
            again=lambda changes: again({**base, **changes}),
            hyperparameters={**self.hyperparameters, **values},
        ).target()

    def expected(self) -> tuple[int, ...] | None:
        """The shape of the images or clips that the model was made for; None where it takes something else."""
        try:
            plan = self.usual(self.built)[0]
        except (Refused, IndexError):
            return None
        if len(plan.feeds) == 1 and set(plan.feeds[0].axes) in (set("bcHW"), set("bcTHW")):
            return tuple(plan.sizes[str(axis)] for axis in plan.feeds[0].axes)
        return None

    def about(self) -> dict[str, Any]:
        record = schema.Target(self.spec, type(self.built.model).__name__, dict(self.hyperparameters))
        return {"target": record, "train": self.train}

    def trace(self, rules: bool = True, formulas: bool = True) -> Trace:
        """The trace of one forward, with formulas where they are wanted and can be had."""
        with contained() if self.heard else silenced():
            begun = time.process_time()
            trace, plan, rung = self.first(rules)
            seconds = time.process_time() - begun
        if not formulas or (trace.failure is not None and plan.sizes.get("W", MOST_COLOURS + 1) <= MOST_COLOURS):
            return trace  # what stands where the width should are the channels: no formula would be true
        with silenced():
            return self.named(trace, plan, rules, seconds, rung)

    def first(self, rules: bool) -> tuple[Trace, Plan, int]:
        """(trace at the real sizes, plan, rung) on the first plan that runs; else on the first plan."""
        first: tuple[Trace, Plan, int] | None = None
        for plan in self.plans:
            trace, rung = self.run(self.built, plan, {}, rules, construction=self.built.construction)
            if trace.failure is None:
                self.fitting[:] = [plan]
                return trace, plan, rung
            first = first or (trace, plan, rung)
        assert first is not None
        return first

    def run(self, built: Built, plan: Plan, sizes: Mapping[str, int], rules: bool, **about: Any) -> tuple[Trace, int]:
        from vit_trace.tracing.ladder import DEVICES, trace_anyhow

        about = self.about() | about
        trace, rung = trace_anyhow(built, lambda: plan.inputs(sizes), self.make, rules, **about)
        return altered(trace, target=altered(trace.target, device=DEVICES[rung])), rung

    def named(self, trace: Trace, plan: Plan, rules: bool, seconds: float, rung: int) -> Trace:
        """The trace with formulas, where tracing it again is cheap."""
        from vit_trace.targets.probing import Prober, most_stages, noted
        from vit_trace.tracing.ladder import FAKE

        if rung >= FAKE and seconds > QUICK:
            return noted(trace, f"sizes have no formulas: it runs on {trace.target.device}, which takes long")
        knobs = [knob for knob in self.knobs if knob.role not in INPUTS or INPUTS[knob.role] in plan.sizes]
        sizes = Sizes(tuple(knobs), image_places(self.arguments) if self.again is not None else (), plan.sizes)

        def probe(values: Mapping[str, int], symbols: Mapping[str, Symbol]) -> Trace | None:
            limit = None if trace.failure is None else most_stages(trace)
            return self.probe(sizes.changes(values), plan, values, symbols, rung, rules, limit)

        return Prober(trace, sizes, probe, seconds, rung < FAKE).named()

    def probe(
        self,
        changes: Changes,
        plan: Plan,
        values: Mapping[str, int],
        symbols: Mapping[str, Symbol],
        rung: int,
        rules: bool,
        limit: int | None,
    ) -> Trace | None:
        """The trace at other sizes, on the rungs of the real one; None where the model cannot be built or fed so."""
        from vit_trace.tracing.ladder import build_at, trace_anyhow

        again = self.again
        make = self.make if again is None else lambda: again(changes)
        try:
            built = build_at(self.built.rung, make, rules)
            about = self.about() | {"symbols": symbols, "construction": built.construction, "limit": limit}
            return trace_anyhow(built, lambda: plan.inputs(values), make, rules, (rung,), **about)[0]
        except Exception:
            return None


def build_first(spec: str, make: Callable[[], object], rules: bool = True) -> Built:
    """The model, built without memory. Raises Refused with the place in the user's code that raised."""
    from vit_trace.tracing.ladder import NotAModel, build_anyhow

    try:
        with contained():
            return build_anyhow(make, rules)
    except NotAModel as other:
        message = f"{spec} gives {described(other.value)}, not a torch.nn.Module"
        raise refusal("not-a-model", message, help=("name a class or a function that returns the model",)) from None
    except Exception as error:
        if hasattr(error, "diagnostics"):
            raise
        raise refusal("build-failed", f"{spec} could not be built", error) from error


def described(value: object) -> str:
    """None, a dict, a class: what a factory returned."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"


def plain(values: Mapping[str, Any]) -> dict[str, Value]:
    """What of the arguments can be shown and saved: numbers, texts, lists of them."""
    found: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, (bool, int, float, str)):
            found[name] = value
        elif isinstance(value, (tuple, list)) and all(isinstance(one, (bool, int, float, str)) for one in value):
            found[name] = list(value)
    return found


@dataclass(frozen=True)
class Recipe:
    """What a library's file knows of a model it has built: how it is made, made again and fed.

    `arguments` and `vary` are for a model that is not just a call of its class: what it was made of, and it with some
    of that changed; `follows` gives all numbers that a change leads to, so that what follows is not turned itself; it
    is `sure` where the plans are known and not guessed.
    """

    spec: str
    make: Callable[[], object]
    built: Built
    plans: Callable[[Built], Sequence[Plan]]
    arguments: Mapping[str, Any] | None = None
    vary: Callable[[Changes], object] | None = None
    follows: Callable[[Changes], Mapping[Path, Any]] | None = None
    sure: bool = True


def assemble(recipe: Recipe, request: Request) -> Foreign:
    """The target that the command line asks for: its image size, its inputs. Raises Refused."""
    from vit_trace.targets.assignments import from_flags

    built, make, call = recipe.built, recipe.make, recipe.built.call
    arguments = recipe.arguments if recipe.arguments is not None else call.arguments if call else {}
    vary = recipe.vary or (None if call is None else lambda changes: call.again(changed(arguments, changes)))
    from_flags(request.flags, list(arguments), recipe.spec)
    sized: Changes = {}
    if request.image is not None and vary is not None and (places := image_places(arguments)):
        sized = image_changes(places, *request.image)
        make = partial(vary, sized)
        built = build_first(recipe.spec, make, request.rules)
        arguments = changed(arguments, sized)
    again = None if vary is None else lambda changes: vary({**sized, **changes})
    turnable = knobs_of(arguments) if again is not None else ()
    if recipe.follows is not None:
        turnable = independent(turnable, recipe.follows)
    if request.inputs:
        from vit_trace.targets.guess import refuse_unknown_inputs

        refuse_unknown_inputs(built.model, [one.name for one in request.inputs if one.name])
        plans: Sequence[Plan] = [given_plan(request.inputs, number(arguments, "channels"))]
    else:
        plans = recipe.plans(built)
    hyperparameters = plain(arguments)
    return Foreign(
        recipe.spec,
        make,
        built,
        arguments,
        turnable,
        again,
        plans,
        hyperparameters,
        request.train,
        usual=recipe.plans if recipe.sure else lambda _: (),
    )


def independent(knobs: Sequence[Knob], follows: Callable[[Changes], Mapping[Path, Any]]) -> tuple[Knob, ...]:
    """The knobs that stay when another is turned, and that do change what they say."""
    before = follows({})
    following: set[Path] = set()
    dead: set[Knob] = set()
    for knob in knobs:
        try:
            after = follows(knob.changes(knob.value * 2))
        except Exception:
            dead.add(knob)
            continue
        own = {path if path in before else path[:-1] for path, _ in knob.places}
        moved = {path for path in before if path in after and after[path] != before[path]}
        following |= moved - own
        if not own & moved:
            dead.add(knob)

    def follows_another(knob: Knob) -> bool:
        return any(path in following or path[:-1] in following for path, _ in knob.places)

    return tuple(knob for knob in knobs if knob not in dead and not follows_another(knob))
