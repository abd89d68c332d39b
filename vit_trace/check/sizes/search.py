"""Finds for the settings of a model which numbers they may have, as rules, and what the rules' numbers are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice

from vit_trace.check.sizes.outcomes import PADS, REFUSED, RUNS, UNKNOWN, Outcome, outcome_of
from vit_trace.check.sizes.report import Example, SizeRule
from vit_trace.dims.allowed import Allowed, Found, find_rule
from vit_trace.probing.screening import shapes
from vit_trace.probing.variants import Dial, Variants, counts_layers

STAGES = 200_000
"""Traced stages that the search for one model may take; beyond it nothing is asked, and a note says so."""

TIMES = (2, 3, 5)
"""Times that another number grows, to see whether a rule's number grows with it."""

MOST = 10_000
"""A number that others have to divide, at most, for its divisors to be listed."""

LARGEST_PART = 64
"""What a setting is divided by, at most, to make the number of a rule."""

ALIKE = 4
"""Numbers inside a rule, and outside, at which another side is asked for the same rule."""

Values = Mapping[str, int]


@dataclass
class SizeSearch:
    """Asks at values of one model's settings, each once. Where the model does not run as it is, `base` makes it run."""

    variants: Variants
    spec: str = "the model"
    limit: int = STAGES
    base: dict[str, int] = field(default_factory=dict)
    known: dict[tuple[tuple[str, int], ...], Outcome] = field(default_factory=dict)
    skipped: int = 0
    padding: int | None = None

    def at(self, values: Values) -> Outcome:
        """What becomes of the model with these values."""
        found = self._outcome(values)
        if found.word == RUNS and found.padded > self._usual_padding():
            return found._replace(word=PADS)
        return found

    def _outcome(self, values: Values) -> Outcome:
        values = {**self.base, **values}
        key = tuple(sorted(values.items()))
        if key not in self.known and self.variants.traced >= self.limit:
            self.skipped += 1
            return Outcome(UNKNOWN, "", "not tried: the budget was spent")
        if key not in self.known:
            self.known[key] = outcome_of(self.variants, values)
        return self.known[key]

    def _usual_padding(self) -> int:
        """How many steps pad where nothing has to: as few as at the present sizes, or at twice these."""
        if self.padding is None:
            larger = {one.name: 2 * self.present(one) for one in self.variants.settings if one.side}
            found = [self._outcome(values) for values in ({}, larger)]
            self.padding = min((one.padded for one in found if one.word == RUNS), default=0)
        return self.padding

    def present(self, one: Dial) -> int:
        """Its value, or the one that makes the model run; an input's size follows the image's."""
        sides = (
            self.base[side.name]
            for side in self.variants.settings
            if side.side and side.name in self.base and side.axis == one.axis
        )
        return self.base.get(one.name, next(sides, one.value))

    def good(self, values: Values) -> bool | None:
        """Whether the model runs as it should with these values; None where that cannot be told."""
        word = self.at(values).word
        return None if word == UNKNOWN else word == RUNS

    def settle(self) -> Iterator[str]:
        """Find a value that makes a model run which does not run as it is; notes say so."""
        outcome = self.at({})
        if outcome.word != REFUSED:
            return
        for one in self.variants.settings:
            together = [other for other in self.variants.settings if one.side and other.side] or [one]
            found = self._found(together)
            good = [number for number, answer in found.answers.items() if answer]
            if good:
                good += found.rule.nearest(one.value) if found.rule is not None else []
                names = [other.name for other in together]
                near = sorted(good, key=lambda number: (abs(number - one.value), number))
                self.base = dict.fromkeys(
                    names, next(value for value in near if self.good(dict.fromkeys(names, value)))
                )
                words = ", ".join(f"{name}={value}" for name, value in self.base.items())
                yield f"as it is, {outcome.where} refuses ({outcome.why}); the rules hold with {words}"
                return
        yield f"as it is, {outcome.where} refuses ({outcome.why}), and no other value of one setting makes it run"

    def matters(self, group: Sequence[Dial]) -> bool:
        """Whether other values change the model at all."""
        first = group[0]
        if first.role:
            return True
        try:
            here = self.variants.trace(self.base)
        except Exception:
            return True
        for value in (2 * first.value, first.value + 1):
            try:
                there = self.variants.trace({**self.base, first.name: value})
            except Exception:
                return True
            if there.failure is not None or shapes(there) != shapes(here):
                return True
        return False

    def _found(self, settings: Sequence[Dial]) -> Found:
        """The rule for a setting, or for several that are equal."""
        names = [one.name for one in settings]
        others = [self.present(one) for one in self.variants.settings if one not in settings and self.present(one) > 1]
        present = max(self.present(settings[0]), 1)
        if counts_layers(settings[0]):
            return _layers(lambda value: self.good(dict.fromkeys(names, value)), present)
        return find_rule(lambda value: self.good(dict.fromkeys(names, value)), present, list(dict.fromkeys(others)))

    def rules(self, group: Sequence[Dial]) -> Iterator[SizeRule]:
        """The rules of settings: the sides of one image, or one setting."""
        if len(group) > 1 and not self._independent(group):
            yield self._described(group, self._found(group), together=True)
            return
        first, *others = group
        found = self._found([first])
        alike = [one for one in others if self._same_rule(found, one)]
        yield self._described([first, *alike], found)
        for one in others:
            if one not in alike:
                yield self._described([one], self._found([one]))

    def _independent(self, group: Sequence[Dial]) -> bool:
        """Whether one side can change and the others stay."""
        return any(self.good({group[0].name: times * self.present(group[0])}) for times in TIMES[:2])

    def _same_rule(self, found: Found, other: Dial) -> bool:
        """Whether another side has the same rule: the same answers at numbers of both kinds."""
        good, bad = ([number for number, answer in found.answers.items() if answer is kind] for kind in (True, False))
        asked = (*good[-ALIKE:], *bad[-ALIKE:])
        same = all(self.good({other.name: number}) is found.answers[number] for number in asked)
        return found.rule is not None and same

    def _described(self, group: Sequence[Dial], found: Found, together: bool = False) -> SizeRule:
        """The rule as it is reported, with the nearest numbers outside."""
        asked, rule = group if together else group[:1], found.rule
        names, value = tuple(one.name for one in group), group[0].value
        outside = tuple(self._outside(asked, found))
        if rule is None:
            works = tuple(sorted(number for number, good in found.answers.items() if good))
            return SizeRule(names, value, "", len(found.answers), together, works=works, outside=outside)
        step_is = made_of(self, group, rule, rule.step) if rule.step > 1 and rule.divides is None else ""
        divides_is = made_of(self, group, rule, rule.divides) if rule.divides else ""
        step = step_is and _equals(step_is, rule.step)
        words = rule.words(step, divides_is and _equals(divides_is, rule.divides or 0))
        return SizeRule(
            names,
            value,
            self._as_given(group[0], rule) or words,
            len(found.answers),
            together,
            *(rule.least, rule.most, rule.step, rule.rest, rule.divides, step_is, divides_is),
            outside=outside,
        )

    def _as_given(self, one: Dial, rule: Allowed) -> str:
        """ "as image_size says: only 224", for an input that a hyperparameter goes with."""
        alone = len(list(islice(rule.numbers(), 2))) == 1
        with_it = [other.name for other in self.variants.settings if other.axis == one.axis and other.role != "input"]
        if one.role != "input" or not alone or not with_it:
            return ""
        return f"only {self.present(one)}, as {with_it[0].partition('[')[0]} says"

    def _outside(self, asked: Sequence[Dial], found: Found) -> Iterator[Example]:
        """The number nearest to the present one for each way to go wrong."""
        seen: set[str] = set()
        for number in sorted(found.answers, key=lambda one: abs(one - asked[0].value)):
            outcome = self.at(dict.fromkeys((one.name for one in asked), number))
            if outcome.word not in (RUNS, UNKNOWN, *seen):
                seen.add(outcome.word)
                yield Example(number, outcome.word, outcome.where, outcome.why)

    def nearest(self, rule: SizeRule, value: int, wanted: int) -> list[int]:
        """Values next to one that follow a rule and were tried."""
        if not rule.rule:
            return sorted(rule.works, key=lambda one: abs(one - value))[:wanted]
        allowed = Allowed(rule.least, rule.most, rule.step, rule.rest, rule.divides)
        names = rule.names if rule.together else rule.names[:1]
        near = allowed.nearest(value, wanted)
        return [number for number in near if self.good(dict.fromkeys(names, number))]

    def shortfall(self) -> Iterator[str]:
        """A note where the budget ended the search."""
        if self.skipped:
            yield f"stopped after {self.variants.traced:,} traced stages: {self.skipped} values were not tried"


def _equals(words: str, number: int) -> str:
    """patch_size·8 = 32"""
    return f"{words} = {number}"


def _layers(ask: Callable[[int], bool | None], present: int) -> Found:
    """The rule for a number of layers: any, where a few others run."""
    answers = {value: ask(value) for value in dict.fromkeys((1, 2, 3, present, present + 1, present + 2))}
    least = min((value for value, good in answers.items() if good), default=1)
    rule = Allowed(least) if all(good for value, good in answers.items() if value >= least) else None
    return Found(rule if any(answers.values()) else None, answers)


def made_of(search: SizeSearch, group: Sequence[Dial], rule: Allowed, number: int) -> str:
    """What a rule's number is made of, "patch_size·8" or "image_size÷4": settings that it grows with; "" if unknown."""
    factors, rest = [], Fraction(number)
    for name, others in _by_name(search, group).items():
        value = search.present(others[0])
        if value < 2 or (number % value and (rule.divides is None or value % number)):
            continue
        if (rest / value).denominator <= LARGEST_PART and _grows_with(search, group, rule, others):
            factors.append(name)
            rest /= value
    if not factors or (rest.denominator > 1 and rest.numerator > 1):
        return ""
    product = "·".join([*factors, *([str(rest.numerator)] if rest > 1 else [])])
    return f"{product}÷{rest.denominator}" if rest.denominator > 1 else product


def _by_name(search: SizeSearch, group: Sequence[Dial]) -> dict[str, list[Dial]]:
    """The other settings; the two sides of the image, which change together, under one name."""
    found: dict[str, list[Dial]] = {}
    for one in search.variants.settings:
        if one not in group and one.role != "input" and not (one.side and group[0].axis in ("H", "W")):
            found.setdefault(one.name.partition("[")[0] if one.side else one.name, []).append(one)
    return found


def _grows_with(search: SizeSearch, group: Sequence[Dial], rule: Allowed, others: Sequence[Dial]) -> bool:
    """Whether a rule's number grows as many times as another setting."""
    names = [one.name for one in group]
    for times in TIMES:
        base = {one.name: times * search.present(one) for one in others}

        def good(number: int, base: Values = base) -> bool | None:
            return search.good({**base, **dict.fromkeys(names, number)})

        if rule.divides is not None:
            new = rule.divides * times
            only = [one for one in range(2, new + 1) if new % one == 0 and rule.divides % one] if new <= MOST else []
            if any(good(one) for one in only[:3]):
                return True
            continue
        start = rule.step * times * max(1, -(-search.present(group[0]) // rule.step))
        if good(start):
            return good(start + rule.step) is False
    return False
