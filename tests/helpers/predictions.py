"""Predicts traces at settings that were never probed, from the formulas of one trace, and counts what is wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from helpers.targets import library_target
from vit_trace.base.trace import Trace
from vit_trace.dims.formula import FormulaError, evaluate, parse
from vit_trace.dims.values import ValuesError, at, bindings, changes_of
from vit_trace.dims.walk import stage_keys
from vit_trace.probing.bounded import TooLong
from vit_trace.probing.foreign import ForeignTracer
from vit_trace.targets.knobs import Changes, Knob, image_changes, image_places, leaves_of

IMAGES = ((96, 160), (160, 96), (384, 256), (192, 352), (448, 224), (240, 240), (144, 336), (231, 247))
"""Sides of images, most not square: windows are clamped on one axis, on both or on none."""


@dataclass
class Count:
    """Of one model: its sizes, those of them with a formula, how many were predicted, and what was wrong."""

    predicted: int = 0
    settings: int = 0
    wrong: list[str] = field(default_factory=list)
    false_constants: list[str] = field(default_factory=list)
    sizes: int = 0
    known: int = 0

    @property
    def covered(self) -> float:
        """Share of the sizes with a formula, or proven to be constant."""
        return self.known / max(self.sizes, 1)


@dataclass(frozen=True)
class _Tracer(ForeignTracer):
    """Keeps the knobs that it varied: some change several numbers that must be equal."""

    varied: list[Knob] = field(default_factory=list)

    def sample(self, real, sizes, *more):
        self.varied[:] = sizes.knobs
        super().sample(real, sizes, *more)


def predictions(spec: str, assignments: tuple[str, ...], *inputs: str) -> Count:
    """What the formulas of the model's trace say of settings that were not probed, against real traces of these."""
    foreign = library_target(spec, assignments, inputs).foreign
    tracer = _Tracer(foreign, True)
    named = tracer.trace()
    real = tracer.first()
    count = Count()
    count.sizes, count.known = _covered(named)
    places = {knob.symbol: knob for one in (*foreign.knobs, *tracer.varied) for knob in (one, *one.parts)}
    for values, changes in _settings(named, foreign.arguments, real.plan.sizes, places):
        try:
            values = changes_of(named, {name: str(value) for name, value in values.items()})
            symbols = bindings(at(named, values), {}) if values else None
        except ValuesError:  # said instead of a size: H is not a multiple of p, no size follows from depth
            continue
        fed = {name: symbols[name] for name in real.plan.sizes if symbols and name in symbols}
        try:
            there = tracer.probe(changes, real.plan, fed, {"symbols": {}, "limit": None}, real.rung)
        except TooLong:
            continue
        if there is None or there.failure is not None:
            continue
        count.settings += 1
        _compare(count, named, there, symbols, f"{values or changes}")
        if values and (flops := at(named, values).totals.flops) not in (0, there.totals.flops):
            count.wrong.append(f"{values}: {flops} FLOPs, not {there.totals.flops}")
    return count


def _settings(
    named: Trace, arguments: Mapping, sizes: Mapping[str, int], places: Mapping[str, Knob]
) -> Iterator[tuple[dict[str, int], Changes]]:
    """(symbols, changes) of each setting; no symbols where a number changes that none stands for.

    A symbol that stands for a whole list changes all of it.
    """
    paths = {leaf.name: leaf.path for leaf in leaves_of(arguments, set())}
    free = {name: one for name, one in named.symbols.items() if one.formula is None}
    for name, symbol in free.items():
        path = paths.get(symbol.hyperparameter or "")
        for value in (3 * symbol.value, symbol.value + 8, 5 * symbol.value, max(symbol.value - 1, 1)) if path else ():
            yield {name: value}, places[name].changes(value) if name in places else {path: value}
    if {"H", "W"} <= sizes.keys() and "H" in free:
        for height, width in (one for one in IMAGES if "W" in free or one[0] == one[1]):
            values = {"H": height, "W": width, "b": 3}
            yield (
                {name: values[name] for name in values if name in free},
                image_changes(image_places(arguments), height, width),
            )
    known = {symbol.hyperparameter for symbol in free.values()}
    for name, path in paths.items():
        value = next(leaf.value for leaf in leaves_of(arguments, set()) if leaf.path == path)
        for other in (3 * value, value + 1) if name not in known and isinstance(value, int) else ():
            yield {}, {path: other}


def _compare(count: Count, named: Trace, there: Trace, symbols: Mapping[str, int] | None, setting: str) -> None:
    """Count the sizes of all stages that both traces have."""
    theirs = dict(zip(stage_keys(there.stages), there.stages, strict=True))
    for key, stage in zip(stage_keys(named.stages), named.stages, strict=True):
        for ours, other in zip(stage.outputs, theirs[key].outputs if key in theirs else (), strict=False):
            for axis, (dim, size) in enumerate(zip(ours.dims, other.shape, strict=False)):
                if len(ours.shape) != len(other.shape) or (dim.isdigit() and axis not in ours.constant):
                    continue
                if dim.isdigit():
                    count.predicted += 1
                    if int(dim) != size:
                        count.false_constants.append(f"{setting}: {stage.name} {ours.dims} is {size}")
                elif symbols is not None:
                    count.predicted += 1
                    try:
                        said = evaluate(parse(dim), symbols)
                    except FormulaError as error:
                        said = str(error)
                    if said != size:
                        count.wrong.append(f"{setting}: {stage.name} {dim} gives {said}, is {size}")


def _covered(trace: Trace) -> tuple[int, int]:
    """How many sizes there are, and how many have a formula."""
    specs = [spec for stage in trace.stages for spec in stage.outputs]
    known = [not dim.isdigit() or axis in spec.constant for spec in specs for axis, dim in enumerate(spec.dims)]
    return len(known), sum(known)
