"""Formulas for somebody else's model: find out what may be turned by trying, then trace it at such settings.

Every attempt is one build and one forward on meta; the number of them and their time are bounded. What could not be
turned gets no symbol, so that no formula speaks of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from msgspec.structs import replace as altered

from vit_trace.base.trace import Diagnostic, Symbol, Trace
from vit_trace.dims.given import split
from vit_trace.dims.name import name_dims
from vit_trace.dims.short import shorten
from vit_trace.dims.walk import stage_keys
from vit_trace.probing.sizes import GROUPS, Sizes, Style
from vit_trace.record.meta.collector import uncollected

PROBES = 5
ENOUGH = 4
"""Settings beside the real one, and how many will do where time runs out; the last confirms."""

SECONDS, TIMES, LONGEST = 5.0, 12, 15.0
"""A search for settings may take this much of the processor's time, or this often as long as the first trace, but
never longer than that."""

AFTER_FAILURE = 1.0
"""Seconds instead where the forward failed: what is wrong comes first, and what would work is still to be tried."""

COVERED = 0.9
"""Share of dimensions with a formula below which fewer knobs are tried."""

ALIGNED, LIKE = 0.9, 0.6
"""Share of the real trace's stages that a probe must have, and a trace that formulas are only checked against."""

Probe = Callable[[Mapping[str, int], Mapping[str, Symbol]], Trace | None]


class Prober:
    """Tries settings on one model. `probe` traces it at a setting; None where it does not build."""

    def __init__(self, trace: Trace, sizes: Sizes, probe: Probe, seconds: float, free: bool = True) -> None:
        self.trace = trace
        self.sizes = sizes
        self.probe = probe
        whole = [trace.failure is None or bool(stage.outputs) for stage in trace.stages]
        keys = stage_keys(trace.stages)
        self.keys = [key for key, done in zip(keys, whole, strict=True) if done]  # not those that a failure cut off
        ranks = [[len(spec.shape) for spec in stage.outputs] for stage in trace.stages]
        self.ranks = [sizes for sizes, done in zip(ranks, whole, strict=True) if done]
        self.more = min(max(SECONDS, TIMES * seconds), LONGEST)  # to finish what has worked once
        if trace.failure is not None:
            self.more = AFTER_FAILURE
        self.until = time.process_time() + self.more
        self.late = False
        self.longest = 0.0
        self.chosen: Style | None = None
        self.free = free
        self.images = sizes.images_tried if free else ()  # a forward that computes is not made larger
        self.checked: dict[tuple[tuple[str, int], ...], Trace | None] = {}
        self.tried: dict[tuple[Style, int], Trace | None] = {}

    def at(self, style: Style, turn: int) -> Trace | None:
        """The trace at one setting; None where it cannot be had or has other stages."""
        if (style, turn) not in self.tried:
            if self.hopeless() or time.process_time() > self.until + (turn > 0) * self.more:
                self.late = True
                return None
            values = self.sizes.setting(style, turn)
            begun = time.process_time()
            found = self.probe(values, self.sizes.symbols(style, values))
            self.longest = max(self.longest, time.process_time() - begun)
            self.tried[style, turn] = found if found is not None and self.aligned(found, ALIGNED) else None
        return self.tried[style, turn]

    def hopeless(self) -> bool:
        """Whether a trace takes so long that there is no time for as many as formulas need."""
        return self.longest * ENOUGH > 2 * self.more

    def checks(self, style: Style) -> list[Trace]:
        """Traces near the real one that formulas have to hold in, as many as there is time for."""
        until = time.process_time() + self.more / 2
        for values in self.sizes.near(style, self.free):
            key = tuple(sorted(values.items()))
            if key not in self.checked and time.process_time() < until:
                found = self.probe(values, self.sizes.symbols(style, values))
                self.checked[key] = found if found is not None and self.aligned(found, LIKE) else None
        keys = [tuple(sorted(values.items())) for values in self.sizes.near(style, self.free)]
        return [found for key in keys if (found := self.checked.get(key)) is not None]

    def aligned(self, probe: Trace, share: float) -> bool:
        fails = self.trace.failure is not None  # then some will too, and others that are of one size go on
        if not fails and (probe.failure is not None or len(probe.stages) > most_stages(self.trace)):
            return False
        theirs = dict(zip(stage_keys(probe.stages), probe.stages, strict=True))
        same = sum(
            key in theirs and [len(spec.shape) for spec in theirs[key].outputs] == ranks
            for key, ranks in zip(self.keys, self.ranks, strict=True)
        )
        return same >= share * len(self.keys)

    def runs(self, style: Style, turns: Sequence[int] = (0,)) -> bool:
        return all(self.at(style, turn) is not None for turn in turns)

    def style(self) -> Style:
        """The style that turns most and works at every setting it will be used at."""
        turns = range(ENOUGH)
        everything = self.sizes.restricted(Style(image=self.images[0] if self.images else "fixed"))
        if self.runs(everything) and self.runs(everything, turns):
            return everything
        image = next((one for one in self.images if self.runs(Style(frozenset(), image=one), turns)), "fixed")
        known = frozenset(everything.groups - {"other"})
        for groups in dict.fromkeys((everything.groups, known)):
            for even in (8, 48, 1):
                style = Style(groups, even, image)
                if self.runs(style) and self.runs(style, turns):
                    return style
                if "width" not in groups:
                    break
        best = Style(frozenset(), 8, image)
        return best if self.trace.failure is not None else self.piecemeal(best, everything.groups)

    def piecemeal(self, best: Style, groups: frozenset[str]) -> Style:
        """Each group of knobs on its own, then those that worked together."""
        for group in ("classes", "channels", "width", "patch", "window", "frames", "other"):
            if group not in groups:
                continue
            for even in (8, 48, 1) if group == "width" else (best.even,):
                if self.runs(attempt := replace(best, groups=best.groups | {group}, even=even), range(ENOUGH)):
                    best = attempt
                    break
        return best

    def named(self) -> Trace:
        """The trace with the formulas that can be had, and a note on what could not."""
        with uncollected():
            return self.told()

    def told(self) -> Trace:
        style = self.style()
        best = self.with_formulas(style)
        if best is None:
            why = "it does not run at other sizes"
            if self.late:
                budget = f"more than the {2 * self.more:.0f} s there are for it"
                why = f"{ENOUGH} traces at other sizes would take {budget} (one took {self.longest:.1f} s)"
            return noted(self.trace, f"sizes have no formulas: {why}")
        for group in ("patch", "window", "other"):  # a model may take another way at another stride
            if group in style.groups and covered(best) < COVERED:
                fewer = replace(style, groups=style.groups - {group})
                other = self.with_formulas(fewer) if self.runs(fewer, range(ENOUGH)) else None
                if other is not None and covered(other) > covered(best):
                    style, best = fewer, other
        self.chosen = style
        best = shorten(best)
        left = {GROUPS[knob.role] for knob in self.sizes.knobs} - style.groups - {"other"}
        if left:
            names = [knob.name for knob in self.sizes.knobs if GROUPS[knob.role] in left]
            return noted(best, f"not turned for formulas: {', '.join(names[:8])}")
        return best

    def with_formulas(self, style: Style) -> Trace | None:
        """The trace named from the probes of a style; None where there are too few."""
        probes = [probe for turn in range(PROBES) if (probe := self.at(style, turn)) is not None]
        if len(probes) < ENOUGH:
            return None
        here, checks = self.sizes.here(style), self.checks(style)
        if self.trace.failure is None or "H" not in here:
            trace = altered(self.trace, symbols=self.sizes.symbols(style, here))
            return name_dims(trace, probes, checks=checks)
        trace = altered(self.trace, symbols=self.sizes.symbols(style, here | self.sizes.built_for))
        trace, others = split(trace, [*probes, *checks])
        return name_dims(trace, others[: len(probes)], checks=others[len(probes) :])


def most_stages(trace: Trace) -> int:
    """Stages that a trace at other sizes may have and still be of the same forward."""
    return int(1.5 * len(trace.stages)) + 20


def covered(trace: Trace) -> float:
    """Share of the dimensions of all outputs that have a formula or were measured to stay."""
    known = total = 0
    for stage in trace.stages:
        for spec in stage.outputs:
            total += len(spec.dims)
            known += sum(not dim.isdigit() or axis in spec.constant for axis, dim in enumerate(spec.dims))
    return known / max(total, 1)


def noted(trace: Trace, message: str) -> Trace:
    """The trace with a note on its formulas; one that failed has other things to say."""
    if trace.failure is not None:
        return trace
    return altered(trace, diagnostics=(*trace.diagnostics, Diagnostic("formulas", "note", message)))
