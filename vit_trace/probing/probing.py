"""Finds formulas for a library's model: tries which knobs can be varied, then traces it at such settings.

Every attempt is one build and one forward; a budget of traced stages bounds them. What could not be varied gets no
symbol, so no formula mentions it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import gcd

from msgspec.structs import replace as altered

from vit_trace.base.roles import SETTINGS
from vit_trace.base.trace import Diagnostic, Symbol, Trace, Whole
from vit_trace.dims.name import Beside, name_dims
from vit_trace.dims.symbols import shorten, split
from vit_trace.dims.walk import Key, stage_keys
from vit_trace.probing.bounded import TooLong
from vit_trace.probing.branches import Seen, branches, divisions, same_stages, wholes, with_kept, with_layers
from vit_trace.probing.screening import Screened, Spent, scales, screen, shapes
from vit_trace.probing.sizes import GROUPS, Sizes, Style, group_of
from vit_trace.record.meta.collector import uncollected
from vit_trace.targets.knobs import RESERVED, Changes, Knob, Leaf, is_integer, leaf_knob

PROBES = 5
ENOUGH = 4
"""Settings beside the real one, and how many are enough; the last confirms the formulas."""

STAGES, TIMES, MOST = 45_000, 12, 75_000
"""Stages that the search for settings may trace: so many, or this many times those of the real trace, but never more
than the last. To finish with settings that work it may trace as many again, to check formulas half as many. A laptop
traces 3,000 to 15,000 stages a second."""

AFTER_FAILURE = 8_000
"""Stages instead where the forward failed: the failure comes first, and its remedies are still to be tried."""

LINES_PER_STAGE = 200
"""Lines of constructors that count as one stage."""

TRACES = 48
"""Traces that the search may make, in the same shares, however few stages they have."""

REFUSED = 0.1
"""What a setting counts at least that the model's constructor refuses; more by the share of its lines that it ran."""

COVERED, ALL_COVERED = 0.9, 0.99
"""Share of dimensions with a formula below which fewer knobs are tried, and below which what tiles a grid is varied."""

SCREENING = 0.75
"""Share of a budget of its own that changing single numbers may take."""

ALIGNED, LIKE = 0.9, 0.6
"""Share of the real trace's stages that a probe must have, and that a trace must have to check formulas against."""

EVEN = (8, 48, 64, 1)
"""What a head dimension, or a width without heads, is a multiple of, in the order that is tried."""

SLOW_BUILD = 50_000
"""Lines of a constructor above which narrow models are tried first: it works out a table in Python."""

ROUNDS, EACH_ROUND, APART = 5, 3, 0.3
"""How often formulas that differ elsewhere are told apart by more traces, by how many each time, and the share of a
budget that this may take."""

Ran = tuple[int, Changes, Mapping[str, int]]
"""A setting that the model was traced at: FLOPs, what is changed, the values."""

MOST_SYMBOLS = 24
"""Hyperparameters above which no number without a role gets a symbol."""

Probe = Callable[[Changes, Mapping[str, int], Mapping[str, Symbol]], Trace | None]
"""The trace with some arguments changed, fed with some sizes of the input changed."""


class _Budget:
    """Counts the traces of one search. A trace counts as `cost` stages, those of the real one, or more if it has more.

    `lines` that constructors ran for them count too.
    """

    def __init__(self, cost: int, failed: bool) -> None:
        self.cost = max(cost, 1)
        self.stages = AFTER_FAILURE if failed else min(max(STAGES, TIMES * self.cost), MOST)
        self.traces, self.lines = 0.0, 0
        self.ended = False
        self.too_long: TooLong | None = None

    def allows(self, share: float) -> bool:
        """Whether one more trace stays within a share of the budget; where it does not, the budget has ended."""
        fits = self.work(1) <= share * self.stages and self.traces + 1 <= share * TRACES and self.too_long is None
        self.ended |= not fits
        return fits

    def work(self, more: int = 0) -> int:
        """What has been done, and what so many more traces would be, in stages."""
        return int((self.traces + more) * self.cost) + self.lines // LINES_PER_STAGE

    @property
    def used(self) -> float:
        """The share of it that is used up."""
        return max(self.work() / self.stages, self.traces / TRACES)

    @property
    def hopeless(self) -> bool:
        """Whether it does not even allow the traces that formulas need."""
        return ENOUGH * self.cost > 2 * self.stages

    @property
    def note(self) -> str:
        if self.hopeless:
            return f"{ENOUGH} more traces, each with the work of {self.cost:,} stages, are too many"
        if self.too_long is not None:
            return f"stopped: {self.too_long}"
        built = f" and {self.lines:,} lines of constructors" if self.lines // LINES_PER_STAGE > self.cost else ""
        many = f"{self.traces:.0f} traces, each" if self.traces >= 1.5 else "one trace"
        return f"stopped after {many} with the work of {self.cost:,} stages{built}"


class Prober:
    """Tries settings on one model. `probe` traces it at a setting; None where it does not build.

    `cost` is what one trace counts in stages, and the lines that each constructor ran, which grow; a model that is
    `free` of values may also be traced at larger images.
    """

    def __init__(self, trace: Trace, sizes: Sizes, probe: Probe, cost: tuple[int, list[int]], free: bool) -> None:
        self.trace = trace
        self.sizes = self.whole = sizes
        self.traced = probe
        whole = trace.failure is None  # else without the stages that the failure cut off
        self.ranks = {key: ranks for key, ranks in _ranks(trace).items() if whole or ranks}
        self.budget, self.aside = (_Budget(cost[0], trace.failure is not None) for _ in range(2))
        self.lines = cost[1]
        self.free = free
        self.images = sizes.images if free else ()  # a forward that computes values is not made larger
        self.checked: dict[tuple[tuple[str, int], ...], Trace | None] = {}
        self.tried: dict[tuple[Style, int], Trace | None] = {}
        self.screened = Screened()
        self.unseen: list[str] = []  # numbers that nothing varied
        self.seen: list[Seen] = []
        self.ran: list[Ran] = []
        self.share = 0.5
        self.chosen = Style(frozenset(), image="fixed")

    def at(self, style: Style, turn: int) -> Trace | None:
        """The trace at one setting; None where it cannot be made or has other stages."""
        if (style, turn) not in self.tried:
            if self.budget.hopeless or not self.budget.allows(2 if turn else 1):
                self.budget.ended = True
                return None
            self.tried[style, turn] = self.probe(style, self.sizes.setting(style, turn), ALIGNED)
        return self.tried[style, turn]

    def probe(self, style: Style, values: Mapping[str, int], share: float) -> Trace | None:
        """The trace with these values; None where it cannot be made or has too few of the real trace's stages."""
        found = self.trace_at(self.sizes.changes(values), values, self.sizes.symbols(style, values), self.budget)
        if found is not None and found.failure is None:
            self.seen.append(Seen(self.sizes.moved(style, values), same_stages(self.trace, found)))
        if found is None or not self.aligned(found, share):
            return None
        if found.failure is None:
            self.ran.append((found.totals.flops, self.sizes.changes(values), values))
        return found

    def trace_at(
        self, changes: Changes, values: Mapping[str, int], symbols: Mapping[str, Symbol], budget: "_Budget"
    ) -> Trace | None:
        """One more trace; None where it cannot be made."""
        before, found = len(self.lines), None
        try:
            found = self.traced(changes, values, symbols)
        except TooLong as error:
            self.budget.too_long = self.aside.too_long = error
        lines = sum(self.lines[before:])
        budget.lines += lines
        if found is None:
            budget.traces += min(max(lines / max(self.whole.lines, 1), REFUSED), 1)
        else:
            budget.traces += max(len(found.stages) / max(len(self.trace.stages), 1), 1)
        return found

    def attempt(self, changes: Changes, share: float = SCREENING) -> Trace | None:
        """The trace with some arguments changed and fed as the real one; None where it fails. Raises Spent."""
        if self.budget.hopeless or not self.aside.allows(share):
            raise Spent
        found = self.trace_at(changes, {}, {}, self.aside)
        return found if found is not None and found.failure is None else None

    def screen(self) -> None:
        """Change what no knob stands for, and the elements of lists alone; what makes sizes becomes a knob."""
        self.sizes = replace(self.sizes, knobs=tuple(map(self.tied, self.sizes.knobs)))
        taken = {path for knob in self.sizes.knobs for path, _ in knob.places}
        leaves = [leaf for leaf in self.sizes.leaves if leaf.path not in taken]
        self.screened = screen(self.trace, leaves, self.attempt)
        knobs: list[Knob] = []
        for knob in self.sizes.knobs:
            knobs += knob.parts if knob.parts and self.loose(knob) else [knob]
        for leaf, value, after in self.screened.alone:
            made = leaf_knob(leaf, {*RESERVED, *(knob.symbol for knob in knobs)})
            if made is not None and len(knobs) < MOST_SYMBOLS and (how := scales(leaf.value, value, self.trace, after)):
                knobs.append(replace(made, tiles=how == "tiles"))
        followers = self.followers([knob for knob in knobs if knob.role == "other"])
        self.sizes = replace(self.sizes, knobs=tuple(knob for knob in knobs if knob not in followers))

    def tied(self, knob: Knob) -> Knob:
        """The knob with the number that must be equal to it: neither has another value without the other."""
        doubled = 2 * knob.value
        equal = [leaf for leaf in self.sizes.leaves if leaf.value == knob.value and group_of(knob) == "width"]
        try:
            if not equal or self.attempt(knob.changes(doubled)) is not None:
                return knob
            for leaf in equal:
                if self.attempt(knob.changes(doubled) | {leaf.path: doubled}) is not None:
                    meaning = f"{knob.meaning}, and {leaf.name.replace('_', ' ')}"
                    return replace(knob, places=(*knob.places, (leaf.path, 1)), meaning=meaning)
        except Spent:
            pass
        return knob

    def followers(self, made: Sequence[Knob]) -> set[Knob]:
        """Knobs of single numbers that have another value where other knobs change, unless they are given."""
        changes: Changes = {}
        for knob in self.sizes.knobs:
            changes |= knob.changes(2 * knob.value) if group_of(knob) == "width" else {}
        try:
            free = self.attempt(changes) if changes and made else None
            if free is None or (held := self.attempt(changes | _kept(made))) is None:
                return set()
            there = shapes(free)
            if shapes(held) == there:
                return set()
            if len(made) == 1:
                return {*made}
            alone = {one: self.attempt(changes | _kept([one])) for one in made}
            return {one for one, held in alone.items() if held is None or shapes(held) != there}
        except Spent:
            return set()

    def structured(self, trace: Trace) -> Trace:
        """The trace with what is known of the values at which the model has other stages."""
        if trace.failure is not None:
            return trace

        def at(values: Mapping[str, int]) -> Trace | None:
            if not self.aside.allows(1):
                raise Spent
            return self.trace_at(self.sizes.changes(values), values, {}, self.aside)

        found = branches(self.trace, trace.symbols, at)
        if any("b" in one.values and not one.same for one in self.seen) and self.aside.allows(1):
            more = {"b": self.sizes.real["b"] + 1}  # a loop over the images makes more stages
            there = at(more)
            self.seen += [Seen(more, same_stages(self.trace, there))] if there is not None else []
        whole = dict.fromkeys((*self.whole_sides(trace), *wholes(trace, at)))
        symbols = with_kept(trace.symbols, self.seen)
        return self.layered(altered(trace, symbols=symbols, branches=found, wholes=tuple(whole)))

    def layered(self, trace: Trace) -> Trace:
        """The trace with a symbol for its number of layers, where it only says how often one repeats."""
        counts = [leaf for leaf in self.whole.leaves if leaf.name in SETTINGS["depth"] and is_integer(leaf.value)]
        if len(counts) != 1:
            return trace
        path, name, depth = counts[0].path, counts[0].name, int(counts[0].value)
        return with_layers(trace, self.trace, name, depth, lambda layers: self.attempt({path: layers}))

    def whole_sides(self, trace: Trace) -> Iterator[Whole]:
        """What the sides of the image should be multiples of: of the patch, else of what they all had in common."""
        kind, tiled = self.chosen.image.removeprefix("square "), divisions(trace)
        for place, side in enumerate(("H", "W") if kind != "fixed" else ()):
            patch = next((name for name in (f"p{place + 1}", "p") if (side, name) in tiled), None)
            if side not in trace.symbols:
                continue
            if kind in ("awkward", "patches") and patch is not None:
                yield Whole(side, patch, "dropped" if kind == "awkward" else "refused")
            elif kind != "awkward":
                real, ran = self.sizes.real[side], [values[side] for _, _, values in self.ran if side in values]
                step = real if kind == "multiple" else gcd(real, *ran)
                yield from [Whole(side, str(step), "unknown")] if step > 1 else []

    def loose(self, knob: Knob) -> bool:
        """Whether the elements of a list can have other values than the first one gives them."""
        try:
            found = self.attempt({part.places[0][0]: part.value * (1 + at % 2) for at, part in enumerate(knob.parts)})
        except Spent:
            return False
        return found is not None and self.aligned(found, ALIGNED)

    def checks(self, style: Style) -> list[Trace]:
        """Traces near the real one that formulas must fit, as many as the budget allows."""
        self.share = self.budget.used + 0.5
        waiting, checks = list(self.sizes.near(style, self.free)), []
        while waiting:
            values = waiting.pop(0)
            found, tried = self.check(style, values)
            checks += [found] if found is not None else []
            alone = self.sizes.one_by_one(style, values) if tried else []
            if alone and found is not None and same_stages(self.trace, found):
                self.seen += [Seen({name: value}, True) for name, value in self.sizes.moved(style, values).items()]
            else:
                waiting = alone + waiting
        return checks

    def check(self, style: Style, values: Mapping[str, int]) -> tuple[Trace | None, bool]:
        """The trace that formulas must fit at these values, if it can be made; and whether the budget allowed it."""
        key = tuple(sorted(values.items()))
        if key not in self.checked and self.budget.allows(self.share):
            self.checked[key] = self.probe(style, values, LIKE)
        return self.checked.get(key), key in self.checked

    def beside(self, style: Style) -> Beside:
        """What formulas and constants have to hold in beside the probes."""
        checks = self.checks(style)
        rest = [
            Leaf(knob.name, knob.places[0][0], knob.value)
            for knob in self.sizes.knobs
            if group_of(knob) not in style.groups and knob.role not in ("channels", "frames", "length", "other")
        ]
        alone = screen(self.trace, rest, self.attempt)
        witnesses = (*self.screened.witnesses, *alone.witnesses)
        self.unseen = [*self.screened.unvaried, *alone.unvaried]
        tiles = [knob.symbol for knob in self.sizes.varied(style) if knob.tiles]
        return Beside(checks, witnesses, bool(self.unseen), tiles=tiles)

    def aligned(self, probe: Trace, share: float) -> bool:
        fails = self.trace.failure is not None  # then a probe may fail too, or go further
        if not fails and probe.failure is not None:
            return False
        theirs = _ranks(probe)
        same = sum(theirs.get(key) == ranks for key, ranks in self.ranks.items())
        return same >= share * len(self.ranks)

    def runs(self, style: Style) -> bool:
        """Whether a style works at every setting that formulas need."""
        return all(self.at(style, turn) is not None for turn in range(ENOUGH))

    def style(self) -> Style:
        """The style that varies most, but for what tiles, and works at every setting that formulas need."""
        knobs = [knob for knob in self.sizes.knobs if not knob.tiles]
        everything = frozenset(map(group_of, knobs))
        others = [*dict.fromkeys(group_of(knob) for knob in knobs if knob.role == "other")]
        even = 1 if self.sizes.lines > SLOW_BUILD else EVEN[0]
        if self.runs(style := Style(everything, even, self.images[0] if self.images else "fixed")):
            return style
        image = next((one for one in self.images if self.runs(Style(frozenset(), image=one))), "fixed")
        for groups in dict.fromkeys((everything, everything - {*others})):
            for even in EVEN:
                if self.runs(style := Style(groups, even, image)):
                    return style if groups == everything else self.with_others(style, others)
                if "width" not in groups:
                    break
        best = Style(frozenset(), 8, image)
        if self.trace.failure is not None:
            return best
        return self.with_others(self.piecemeal(best, everything), others)

    def with_others(self, style: Style, others: Sequence[str]) -> Style:
        """The style with those knobs without a role that work too: all, else each half."""
        if self.runs(more := replace(style, groups=style.groups.union(others))):
            return more
        middle = len(others) // 2
        for half in (others[:middle], others[middle:]) if middle else ():
            style = self.with_others(style, half)
        return style

    def piecemeal(self, best: Style, groups: frozenset[str]) -> Style:
        """Each group of knobs on its own, then those that worked together."""
        for group in ("classes", "channels", "width", "patch", "window", "frames", "length"):
            if group not in groups:
                continue
            for even in EVEN if group == "width" else (best.even,):
                if self.runs(attempt := replace(best, groups=best.groups | {group}, even=even)):
                    best = attempt
                    break
        return best

    @uncollected()
    def named(self) -> Trace:
        """The trace with all formulas that were found, and a note on those that were not."""
        if self.trace.failure is None:
            self.screen()
        style = self.style()
        for others in (self.without_parts, self.without_stuck):
            if "width" not in style.groups and (knobs := others()):
                self.sizes = replace(self.whole, knobs=knobs)
                self.tried = {}
                self.budget = _Budget(self.budget.cost, failed=False)
                style = self.style()
        best = self.with_formulas(style)
        if best is None:
            why = self.budget.note if self.budget.ended else "it does not run at other sizes"
            return noted(self.trace, f"sizes have no formulas: {why}")
        for less in ({"patch"}, {"window"}, style.groups - {*GROUPS.values()}):
            if less & style.groups and _covered(best) < COVERED:  # it may take another branch at another stride
                style, best = self.better(style, best, replace(style, groups=style.groups - less))
        tiles = [group_of(knob) for knob in self.sizes.knobs if knob.tiles and style.image != "fixed"]
        if tiles and _covered(best) < ALL_COVERED:
            style, best = self.better(style, best, self.with_others(style, tiles))
        self.chosen = style
        best = shorten(self.structured(best))
        if names := [k.name for k in self.sizes.knobs if k.role != "other" and group_of(k) not in style.groups]:
            why = self.budget.note if self.budget.ended else "they could not be varied"
            best = noted(best, f"no formulas for {', '.join(names[:8])}: {why}")
        if self.unseen:
            why = f" ({self.aside.note})" if self.aside.ended else ""
            best = noted(best, f"no size above 1 counts as constant: {', '.join(self.unseen[:8])} did not vary{why}")
        return best

    def better(self, style: Style, best: Trace, other: Style) -> tuple[Style, Trace]:
        """Of two styles the one that covers more, with its trace."""
        found = self.with_formulas(other) if other != style and self.runs(other) else None
        return (other, found) if found is not None and _covered(found) > _covered(best) else (style, best)

    def without_parts(self) -> tuple[Knob, ...]:
        """The knobs with lists as a whole, as their elements do not vary alone; none where there are no lists."""
        made = tuple(knob for knob in self.sizes.knobs if knob.role == "other")
        return (*self.whole.knobs, *made) if any(knob.parts for knob in self.whole.knobs) else ()

    def without_stuck(self) -> tuple[Knob, ...]:
        """The knobs without widths that have no other value at which the model runs; none where all or none are so."""
        if self.trace.failure is not None:
            return ()
        widths = [knob for knob in self.sizes.knobs if group_of(knob) == "width"]
        try:
            stuck = [one for one in widths if not any(self.attempt(one.changes(t * one.value), 1) for t in (2, 3))]
        except Spent:
            return ()
        return tuple(knob for knob in self.sizes.knobs if knob not in stuck) if 0 < len(stuck) < len(widths) else ()

    def with_formulas(self, style: Style) -> Trace | None:
        """The trace named from the probes of a style; None where there are too few."""
        probes = [probe for turn in range(PROBES) if (probe := self.at(style, turn)) is not None]
        if len(probes) < ENOUGH:
            return None
        named, beside = None, self.beside(style)
        self.share = self.budget.used + APART
        for _ in range(ROUNDS):
            named = self.named_from(style, probes, beside)
            beside = self.told_apart(style, beside)
            if not beside.apart:
                break
        return named

    def told_apart(self, style: Style, beside: Beside) -> Beside:
        """Traces more to check formulas in, where those that fit so far differ; `apart` is empty where none runs."""
        names = self.sizes.here(style).keys() if self.trace.failure is None else ()
        wanted = Counter(tuple(sorted(at.items())) for at in beside.apart if names)
        more, refused = [], []
        for setting, _ in wanted.most_common(EACH_ROUND):
            at = dict(setting)
            found, tried = self.check(style, {name: at[name] for name in names})
            more += [found] if found is not None else []
            refused += [at] if tried and found is None else []
        checks, apart = [*beside.checks, *more], beside.apart if more or refused else []
        return replace(beside, checks=checks, refused=[*beside.refused, *refused], apart=apart)

    def named_from(self, style: Style, probes: Sequence[Trace], beside: Beside) -> Trace:
        """The trace with the formulas that hold in the probes and in what is beside them."""
        here = self.sizes.here(style)
        if self.trace.failure is None or "H" not in here:
            trace = altered(self.trace, symbols=self.sizes.symbols(style, here))
            return name_dims(trace, probes, beside=beside)
        trace = altered(self.trace, symbols=self.sizes.symbols(style, here | self.sizes.built_for))
        trace, others = split(trace, [*probes, *beside.checks])
        return name_dims(
            trace, others[: len(probes)], beside=replace(beside, checks=others[len(probes) :], unseen=True)
        )


def _kept(knobs: Sequence[Knob]) -> Changes:
    """The values of some knobs, given once more."""
    return {path: value for knob in knobs for path, value in knob.changes(knob.value).items()}


def most_stages(trace: Trace) -> int:
    """Stages above which a trace at other sizes is not of the same forward."""
    return int(1.5 * len(trace.stages)) + 20


def _ranks(trace: Trace) -> dict[Key, list[int]]:
    """How many axes each output of a stage has, by the stage's key."""
    ranks = ([len(spec.shape) for spec in stage.outputs] for stage in trace.stages)
    return dict(zip(stage_keys(trace.stages), ranks, strict=True))


def _covered(trace: Trace) -> float:
    """Share of the dimensions of all outputs that have a formula or were found constant."""
    specs = [spec for stage in trace.stages for spec in stage.outputs]
    known = [not dim.isdigit() or axis in spec.constant for spec in specs for axis, dim in enumerate(spec.dims)]
    return sum(known) / max(len(known), 1)


def noted(trace: Trace, message: str, help: tuple[str, ...] = ()) -> Trace:
    """The trace with a note on its formulas; none where the forward failed."""
    if trace.failure is not None:
        return trace
    return altered(trace, diagnostics=(*trace.diagnostics, Diagnostic("formulas", "note", message, help=help)))
