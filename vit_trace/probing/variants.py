"""Makes a model at other settings, some numbers changed and all else the same: for those who ask which numbers work.

It has few layers there, for equal layers want equal sizes: one of each kind in most trials, two where a rule is
confirmed, if the model has all its shapes with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import lcm
from typing import Any, NamedTuple

from vit_trace.base.roles import SETTINGS, Path, role_named
from vit_trace.base.trace import Trace
from vit_trace.probing.bounded import AFTER_FAILURE, TooLong
from vit_trace.probing.foreign import INPUTS, ForeignTracer, Trial
from vit_trace.probing.run import trace_once
from vit_trace.targets.complaints import silenced
from vit_trace.targets.inputs import height_width
from vit_trace.targets.knobs import Changes, change_values, depth_of, image_changes, image_places, knobs_of, leaves_of
from vit_trace.targets.target import Target

SLOW_BUILD = 50_000
"""Lines of loops in constructors above which trials are made of a model of other sizes: it works out a table."""

LINES = 30
"""Lines of a constructor's loops that cost as much as a stage of a forward; a module, or a call of torch, costs one."""

BUILT_IN = 4
"""What a stage of the built-in ViT costs, its building with it."""

COUNTS_LAYERS = re.compile("|".join(rf"\b{name}$" for name in SETTINGS["depth"]) + r"|_(layers|depths?|blocks)$")
"""Names of what counts layers."""

SIDES = ("H", "W")


class Dial(NamedTuple):
    """A number that can be chosen: the name that sets it, its value, its role, where it stands, with its factor there.

    `axis` is the axis of the input that changes with it, `side` whether it is a side of the image that a hyperparameter
    gives; a setting without `paths` that is no side changes the input alone.
    """

    name: str
    value: int
    role: str = ""
    paths: tuple[tuple[Path, int], ...] = ()
    axis: str = ""
    side: bool = False


class Varied(NamedTuple):
    """A trace at other settings, and what it cost, in stages."""

    trace: Trace
    cost: int


class _AllShapes(NamedTuple):
    parameters: frozenset[tuple[int, ...]]
    stages: frozenset[tuple[int, ...]]


@dataclass
class Variants:
    """The variants of one target. `make` traces it with arguments, and with sizes of the input, changed.

    `few` are the counts of layers in most trials; `whole` those with which a model has all the shapes that it has with
    its own. `narrow` and `small` are values of widths, and of sides of the image, with which a slow constructor is
    quick. `spent` is what all trials cost, `usual` what one does.
    """

    settings: tuple[Dial, ...]
    make: Callable[[Changes, Mapping[str, int]], Varied]
    images: tuple[tuple[Path, Any], ...] = ()
    few: Changes = field(default_factory=dict)
    whole: Changes = field(default_factory=dict)
    narrow: dict[str, int] = field(default_factory=dict)
    small: dict[str, int] = field(default_factory=dict)
    spent: int = 0
    usual: int = 0

    def trace(self, values: Mapping[str, int], whole: bool = False) -> Trace:
        """The trace with other values of settings, by name. Raises what building the model raises."""
        return self._made(*self.changes(values, self.whole if whole else self.few))

    def changes(self, values: Mapping[str, int], layers: Changes) -> tuple[Changes, dict[str, int]]:
        """The arguments and the sizes of the input that change with these values."""
        changes: Changes = dict(layers)
        sizes: dict[str, int] = {}
        image: dict[str, int] = {}
        for one in self.settings:
            value = values.get(one.name, one.value)
            if one.name in values:
                changes |= {path: value * factor for path, factor in one.paths}
            if one.name in values and one.axis:
                sizes[one.axis] = value
            if one.side:
                image[one.axis] = value
        if any(one.side for one in self.settings if one.name in values):
            for path, new in image_changes(self.images, image["H"], image["W"]).items():
                deep = changes.pop((*path, 0), None)  # the first side of a volume
                changes[path] = new if deep is None else type(new)((deep, *new[1:]))
        return changes, sizes

    def _made(self, changes: Changes, sizes: Mapping[str, int]) -> Trace:
        try:
            made = self.make(changes, sizes)
        except Exception as error:
            self.spent += AFTER_FAILURE // LINES if isinstance(error, TooLong) else self.usual // 2
            raise
        self.spent += made.cost
        self.usual = made.cost
        return made.trace

    def choose_layers(self) -> None:
        """Find the counts of layers for trials: as few as leave all shapes of parameters, or all shapes."""
        counts = [path for one in self.settings if counts_layers(one) and one.value > 1 for path, _ in one.paths]
        real = self._shapes({}) if counts else None
        if real is None:
            return
        for number in (1, 2):
            held = {path: number for path in counts if number < self._count(path)}
            found = self._shapes(held)
            if found is None or found.parameters != real.parameters:
                alone = {path: self._shapes({path: number}) for path in held}
                held = {path: number for path, one in alone.items() if one and one.parameters == real.parameters}
                found = self._shapes(held)
            if held and found is not None and found.parameters == real.parameters:
                self.few = {**held, **self.few}
                if found == real:
                    self.whole = held
                    return

    def _count(self, path: Path) -> int:
        return next(one.value for one in self.settings if path in [each for each, _ in one.paths])

    def _shapes(self, changes: Changes) -> _AllShapes | None:
        """Every shape of a trace and of its parameters; None where it does not run."""
        try:
            lean, sizes = self.changes(self.narrow, {})
            trace = self._made({**lean, **changes}, sizes)
        except Exception:  # whatever it raises: it does not build
            return None
        parameters = frozenset(one.shape for one in trace.parameters)
        specs = frozenset(spec.shape for stage in trace.stages for spec in stage.outputs)
        return _AllShapes(parameters, specs) if trace.failure is None else None

    def choose_sizes(self, lines: int) -> None:
        """Where a constructor runs many lines, find sizes at which it is quick."""
        if lines < SLOW_BUILD:
            return
        heads = lcm(*(one.value for one in self.settings if one.role == "heads"))
        dims = [one for one in self.settings if one.role == "dim"]
        narrow = ({one.name: heads * times for one in dims if one.value > heads * times} for times in (2, 4, 8))
        patch = max((one.value for one in self.settings if one.role == "patch"), default=16)
        sides = ({one.name: patch * times for one in self.settings if one.side} for times in (2, 4))
        self.narrow, self.small = self._quicker(narrow), self._quicker(sides)

    def _quicker(self, candidates: Iterable[dict[str, int]]) -> dict[str, int]:
        for values in candidates:
            with suppress(Exception):
                if self.trace(values).failure is None:
                    return values
        return {}


def variants_of(target: Target, rules: bool = True) -> Variants:
    """The variants of a target, with few layers for trials."""
    found = _of_foreign(target, rules) if target.foreign is not None else _of_builtin(target, rules)
    found.choose_sizes(0 if target.foreign is None else target.foreign.built.lines)
    found.choose_layers()
    return found


def counts_layers(setting: Dial) -> bool:
    """Whether it is a number of layers, by its name without containers and place: depths, of stage.depths[2]."""
    return bool(COUNTS_LAYERS.search(setting.name.rpartition(".")[2].partition("[")[0]))


def _of_builtin(target: Target, rules: bool) -> Variants:
    """The variants of the built-in ViT: every whole number of its config."""
    held, variant = dict(target.hyperparameters), target.variant
    assert variant is not None

    def make(changes: Changes, _: Mapping[str, int]) -> Varied:
        changed = change_values(held, changes)
        trace = trace_once(variant({str(path[0]): changed[path[0]] for path in changes}), rules)
        return Varied(trace, BUILT_IN * len(trace.stages))

    return Variants(tuple(_settings(held, {"b": 1})), make, image_places(held))


def _of_foreign(target: Target, rules: bool) -> Variants:
    """The variants of somebody else's model: its arguments, and the sizes of its input."""
    foreign = target.foreign
    assert foreign is not None
    tracer = ForeignTracer(foreign, rules)
    with silenced():
        real = tracer.first()
    arguments = foreign.arguments if foreign.again is not None else {}

    last: dict[str, tuple[Changes, Trial]] = {}

    def make(changes: Changes, sizes: Mapping[str, int]) -> Varied:
        with silenced():
            held, trial = last.get("made", (None, None))
            kept = trial is not None and held == changes
            if not kept:
                last.clear()  # one model at a time
                last["made"] = changes, tracer.trial(changes)
            trial = last["made"][1]
            trace = tracer.fed(trial, partial(real.plan.inputs, sizes), real.rung)
        modules = sum(1 for _ in trial.built.model.modules())
        building = 0 if kept else modules + trial.built.calls + trial.lines // LINES
        return Varied(trace, len(trace.stages) + building)

    return Variants(tuple(_settings(arguments, real.plan.sizes)), make, image_places(arguments))


def _settings(arguments: Mapping[str, Any], sizes: Mapping[str, int]) -> Iterator[Dial]:
    """Every number that can be chosen: sides of the image, hyperparameters, sizes of the input."""
    images = image_places(arguments)
    size = height_width(images[0][1]) if images else None
    depth = depth_of(arguments) if "T" in sizes else None
    if depth is not None:
        paths = tuple(((*path, 0), 1) for path, value in images if isinstance(value, (tuple, list)) and len(value) == 3)
        yield Dial(f"{_dotted(images[0][0])}[0]", depth, "image", paths, "T")
    for place, axis in enumerate(SIDES if size is not None else ()):
        name = f"{_dotted(images[0][0])}[{place + (depth is not None)}]"
        yield Dial(name, size[place] if size else 0, "image", (), axis, side=True)
    knobs = knobs_of(arguments)
    for knob in knobs:
        axis = INPUTS.get(knob.role, "") if knob.role != "frame_patch" else ""
        name = _dotted(knob.places[0][0])
        yield Dial(name, knob.value, knob.role, knob.places, axis if axis in sizes else "")
    for leaf in leaves_of(arguments, {path for knob in knobs for path, _ in knob.places}):
        if isinstance(leaf.value, int):
            yield Dial(_dotted(leaf.path), leaf.value, role_named(leaf.name), ((leaf.path, 1),))
    for axis in ("H", "W", "T", "L"):
        if axis in sizes:
            yield Dial(f"input {axis}", sizes[axis], "input", (), axis)


def _dotted(path: Path) -> str:
    """vision_config.depths[2]"""
    return ".".join(part if isinstance(part, str) else f"[{part}]" for part in path).replace(".[", "[")
