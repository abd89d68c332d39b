"""Makes a model at other settings, some numbers changed and all else the same: for those who ask which numbers work.

It has few layers there, for equal layers want equal sizes: a count of layers above two becomes two, where the model has
all its shapes with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from vit_trace.base.roles import SETTINGS, Path, role_named
from vit_trace.base.trace import Trace
from vit_trace.probing.foreign import INPUTS, ForeignTracer
from vit_trace.probing.run import trace_once
from vit_trace.targets.complaints import silenced
from vit_trace.targets.inputs import height_width
from vit_trace.targets.knobs import Changes, change_values, image_changes, image_places, knobs_of, leaves_of
from vit_trace.targets.target import Target

LAYERS = 2
"""Layers of a stage in a model that is made only to see what fits."""

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


@dataclass
class Variants:
    """The variants of one target. `make` traces it with arguments, and with sizes of the input, changed."""

    settings: tuple[Dial, ...]
    make: Callable[[Changes, Mapping[str, int]], Trace]
    images: tuple[tuple[Path, Any], ...] = ()
    fewer: Changes = field(default_factory=dict)
    traced: int = 0

    def trace(self, values: Mapping[str, int]) -> Trace:
        """The trace with other values of settings, by name. Raises what building the model raises."""
        changes: Changes = dict(self.fewer)
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
            changes |= image_changes(self.images, image["H"], image["W"])
        found = self.make(changes, sizes)
        self.traced += len(found.stages)
        return found


def variants_of(target: Target, rules: bool = True) -> Variants:
    """The variants of a target, with few layers where these have all its shapes."""
    found = _of_foreign(target, rules) if target.foreign is not None else _of_builtin(target, rules)
    counts = [(one, path) for one in found.settings for path, _ in one.paths if counts_layers(one)]
    whole = _shapes(found, {}) if counts else None
    for one, path in counts if whole else ():
        if one.value > LAYERS and _shapes(found, {**found.fewer, path: LAYERS}) == whole:
            found.fewer[path] = LAYERS
    return found


def _shapes(variants: Variants, changes: Changes) -> set[tuple[int, ...]] | None:
    """Every shape of a trace and of its parameters; None where it does not run."""
    try:
        trace = variants.make(changes, {})
    except Exception:  # whatever it raises: it does not build
        return None
    specs = {spec.shape for stage in trace.stages for spec in stage.outputs}
    return specs | {one.shape for one in trace.parameters} if trace.failure is None else None


def counts_layers(setting: Dial) -> bool:
    """Whether it is a number of layers, by its name without containers and place: depths, of stage.depths[2]."""
    return bool(COUNTS_LAYERS.search(setting.name.rpartition(".")[2].partition("[")[0]))


def _of_builtin(target: Target, rules: bool) -> Variants:
    """The variants of the built-in ViT: every whole number of its config."""
    held, variant = dict(target.hyperparameters), target.variant
    assert variant is not None

    def make(changes: Changes, _: Mapping[str, int]) -> Trace:
        changed = change_values(held, changes)
        return trace_once(variant({str(path[0]): changed[path[0]] for path in changes}), rules)

    return Variants(tuple(_settings(held, {"b": 1})), make, image_places(held))


def _of_foreign(target: Target, rules: bool) -> Variants:
    """The variants of somebody else's model: its arguments, and the sizes of its input."""
    foreign = target.foreign
    assert foreign is not None
    tracer = ForeignTracer(foreign, rules)
    with silenced():
        real = tracer.first()
    arguments = foreign.arguments if foreign.again is not None else {}

    def make(changes: Changes, sizes: Mapping[str, int]) -> Trace:
        with silenced():
            return tracer.variant(changes, partial(real.plan.inputs, sizes), {}, real.rung)

    return Variants(tuple(_settings(arguments, real.plan.sizes)), make, image_places(arguments))


def _settings(arguments: Mapping[str, Any], sizes: Mapping[str, int]) -> Iterator[Dial]:
    """Every number that can be chosen: sides of the image, hyperparameters, sizes of the input."""
    images = image_places(arguments)
    size = height_width(images[0][1]) if images else None
    for place, axis in enumerate(SIDES if size is not None else ()):
        yield Dial(f"{_dotted(images[0][0])}[{place}]", size[place] if size else 0, "image", (), axis, side=True)
    knobs = knobs_of(arguments)
    for knob in knobs:
        axis = INPUTS.get(knob.role, "")
        name = _dotted(knob.places[0][0])
        yield Dial(name, knob.value, knob.role, knob.places, axis if axis in sizes else "")
    for leaf in leaves_of(arguments, {path for knob in knobs for path, _ in knob.places}):
        if isinstance(leaf.value, int):
            yield Dial(_dotted(leaf.path), leaf.value, role_named(leaf.name), ((leaf.path, 1),))
    for axis in ("H", "W", "T"):
        if axis in sizes:
            yield Dial(f"input {axis}", sizes[axis], "input", (), axis)


def _dotted(path: Path) -> str:
    """vision_config.depths[2]"""
    return ".".join(part if isinstance(part, str) else f"[{part}]" for part in path).replace(".[", "[")
