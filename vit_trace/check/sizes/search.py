"""Finds for the settings of a model which numbers they may have, as rules, and what the rules' numbers are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd, lcm

from vit_trace.check.sizes.outcomes import PADS, RUNS, UNKNOWN, Outcome, outcome_of
from vit_trace.check.sizes.report import Example, SizeRule
from vit_trace.dims.allowed import Allowed, Found, find_rule
from vit_trace.probing.variants import Setting, Variants

STAGES = 200_000
"""Traced stages that the search for one model may take; beyond it nothing is asked, and a note says so."""

TIMES = (2, 3, 5)
"""Times that another number grows, to see whether a rule's number grows with it."""

Values = Mapping[str, int]


@dataclass
class SizeSearch:
    """Asks at values of one model's settings, each once."""

    variants: Variants
    limit: int = STAGES
    known: dict[tuple[tuple[str, int], ...], Outcome] = field(default_factory=dict)
    skipped: int = 0
    padding: int | None = None

    def at(self, values: Values) -> Outcome:
        """What becomes of the model with these values."""
        found = self._outcome(values)
        if found.word == RUNS and found.padded > self.usual_padding():
            return found._replace(word=PADS)
        return found

    def _outcome(self, values: Values) -> Outcome:
        key = tuple(sorted(values.items()))
        if key not in self.known and self.variants.traced >= self.limit:
            self.skipped += 1
            return Outcome(UNKNOWN, "", "not tried: the budget was spent")
        if key not in self.known:
            self.known[key] = outcome_of(self.variants, values)
        return self.known[key]

    def usual_padding(self) -> int:
        """How many steps pad where nothing has to: as few as at the present sizes, or at twice these."""
        if self.padding is None:
            larger = {one.name: 2 * one.value for one in self.variants.settings if one.side}
            found = [self._outcome(values) for values in ({}, larger)]
            self.padding = min((one.padded for one in found if one.word == RUNS), default=0)
        return self.padding

    def good(self, values: Values) -> bool | None:
        """Whether the model runs as it should with these values; None where that cannot be told."""
        word = self.at(values).word
        return None if word == UNKNOWN else word == RUNS

    def rule(self, settings: Sequence[Setting], base: Values | None = None) -> Found:
        """The rule for a setting, or for several that are equal, where others have the values of `base`."""

        def ask(value: int) -> bool | None:
            return self.good({**(base or {}), **dict.fromkeys((one.name for one in settings), value)})

        others = [one.value for one in self.variants.settings if one not in settings and one.value > 1]
        return find_rule(ask, settings[0].value, list(dict.fromkeys(others)))


def rules_of(search: SizeSearch, groups: Sequence[Sequence[Setting]]) -> Iterator[SizeRule]:
    """The rules of settings; those of one group are sides of one image."""
    for group in groups:
        if len(group) > 1 and not _independent(search, group):
            yield _rule(search, group, together=True)
            continue
        first, *others = group
        found = search.rule([first])
        alike = [one for one in others if _same_rule(search, found, one)]
        yield _described(search, [first, *alike], found)
        for one in others:
            if one not in alike:
                yield _rule(search, [one])


def _rule(search: SizeSearch, group: Sequence[Setting], together: bool = False) -> SizeRule:
    return _described(search, group, search.rule(group), together)


def _independent(search: SizeSearch, group: Sequence[Setting]) -> bool:
    """Whether one side can change and the others stay."""
    return any(search.good({group[0].name: times * group[0].value}) for times in TIMES[:2])


def _same_rule(search: SizeSearch, found: Found, other: Setting) -> bool:
    """Whether another side has the same rule: the same answers at numbers of both kinds."""
    told = [number for number, good in found.answers.items() if good is not None][-24:]
    return found.rule is not None and all(
        search.good({other.name: number}) is found.answers[number] for number in told
    )


def _described(search: SizeSearch, group: Sequence[Setting], found: Found, together: bool = False) -> SizeRule:
    """The rule as it is reported, with the nearest numbers outside."""
    names = tuple(one.name for one in group)
    asked = group if together else group[:1]
    outside: dict[str, Example] = {}
    for number in sorted(found.answers, key=lambda one: abs(one - group[0].value)):
        seen = search.at(dict.fromkeys((one.name for one in asked), number))
        if seen.word not in (RUNS, UNKNOWN):
            outside.setdefault(seen.word, Example(number, seen.word, seen.where, seen.why))
    rule = found.rule
    if rule is None:
        works = tuple(sorted(number for number, good in found.answers.items() if good))
        return SizeRule(names, group[0].value, "", len(found.answers), together, works=works, outside=tuple(outside.values()))
    step_is = made_of(search, asked, rule, rule.step) if rule.step > 1 and rule.divides is None else ""
    divides_is = made_of(search, asked, rule, rule.divides) if rule.divides else ""
    return SizeRule(
        names,
        group[0].value,
        rule.words(step_is and f"{step_is} = {rule.step}", divides_is and f"{divides_is} = {rule.divides}"),
        len(found.answers),
        together,
        rule.least,
        rule.most,
        rule.step,
        rule.rest,
        rule.divides,
        step_is,
        divides_is,
        outside=tuple(outside.values()),
    )


def made_of(search: SizeSearch, group: Sequence[Setting], rule: Allowed, number: int) -> str:
    """What a rule's number is made of, "patch_size·8": other settings that it grows with, times the rest; "" if unknown."""
    factors, rest = [], number
    for other in search.variants.settings:
        if other in group or other.value < 2 or rest % other.value or other.role == "input" or other.side:
            continue
        if _grows_with(search, group, rule, other):
            factors.append(other.name)
            rest //= other.value
    if not factors:
        return ""
    return "·".join([*factors, *([str(rest)] if rest > 1 else [])])


def _grows_with(search: SizeSearch, group: Sequence[Setting], rule: Allowed, other: Setting) -> bool:
    """Whether a rule's number grows as many times as another setting."""
    names = [one.name for one in group]
    for times in TIMES:
        base = {other.name: times * other.value}
        if rule.divides is not None:
            old, new = rule.divides, rule.divides * times
            only = [one for one in range(2, new + 1) if new % one == 0 and old % one] if new < 5000 else []
            if any(search.good({**base, **dict.fromkeys(names, one)}) for one in only[:3]):
                return True
            continue
        start = lcm(rule.step * times, gcd(rule.step * times, rule.step)) * max(1, -(-group[0].value // rule.step))
        if not search.good({**base, **dict.fromkeys(names, start)}):
            continue
        return search.good({**base, **dict.fromkeys(names, start + rule.step)}) is False
    return False
