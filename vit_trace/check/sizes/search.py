"""Finds for the settings of a model which numbers they may have, as rules, and what the rules' numbers are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import islice

from vit_trace.check.sizes.outcomes import NOT_TRIED, PADS, REFUSED, REPEATS, RUNS, UNKNOWN, Outcome, outcome_of
from vit_trace.check.sizes.report import Example, SizeRule
from vit_trace.dims.allowed import Allowed, Found, NoMore, find_rule
from vit_trace.probing.variants import Dial, Variants, counts_layers
from vit_trace.targets.knobs import WIDTH

BUDGET = 250_000
"""What the trials for one model may cost, in stages of a forward; a module that is built or a call of torch in a
constructor counts as one, its loops by their lines."""

TIMES = (2, 3, 5)
"""Times that another number grows, to see whether a rule's number grows with it."""

MOST = 10_000
"""A number that others have to divide, at most, for its divisors to be listed."""

LARGEST_PART = 64
"""What a setting is divided by, at most, to make the number of a rule."""

ALIKE = 3
"""Numbers inside a rule, and outside, at which another side is asked for the same rule."""

Values = Mapping[str, int]


WIDTHS = ("dim", "heads", "dim_head", "mlp_dim")
"""Roles that have to do with a model's width."""


@dataclass
class SizeSearch:
    """Asks at values of one model's settings, each once. Where the model does not run as it is, `base` makes it run.

    `lean` are values of other settings with which trials are quick, `whole` says whether trials have all shapes of the
    model; `ceiling` is what trials may have cost when the search for one rule ends; `stages` has the last rule of an
    element of each list.
    """

    variants: Variants
    spec: str = "the model"
    base: dict[str, int] = field(default_factory=dict)
    known: dict[tuple[bool, tuple[tuple[str, int], ...]], Outcome] = field(default_factory=dict)
    usual: dict[tuple[bool, bool], tuple[int, int]] = field(default_factory=dict)
    lean: Values = field(default_factory=dict)
    whole: bool = False
    ceiling: int = BUDGET
    skipped: int = 0
    stages: dict[str, tuple[str, Allowed]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lean = self.variants.narrow

    def begin(self, group: Sequence[Dial], share: float) -> None:
        """The search for a rule begins, with its share of what is left of the budget."""
        self.whole = False
        self.ceiling = self.variants.spent + round(max(0, BUDGET - self.variants.spent) * share)
        about_width = group[0].role in WIDTHS or bool(WIDTH.search(group[0].name))
        about_image = group[0].axis in ("H", "W") or group[0].role in ("image", "patch", "window")
        self.lean = {**({} if about_width else self.variants.narrow), **({} if about_image else self.variants.small)}

    def at(self, values: Values) -> Outcome:
        """What becomes of the model with these values."""
        found = self._outcome(values)
        if found.word != RUNS or not (found.padded or found.repeated):
            return found
        padded, repeated = self._usual()
        word = PADS if found.padded > padded else REPEATS if found.repeated > repeated else RUNS
        return replace(found, word=word)

    def _outcome(self, values: Values) -> Outcome:
        values = {**self.lean, **self.base, **values}
        key = self.whole, tuple(sorted(values.items()))
        if key not in self.known and self.variants.spent >= self.ceiling:
            self.skipped += 1
            return NOT_TRIED
        if key not in self.known:
            self.known[key] = outcome_of(self.variants, values, self.whole)
        return self.known[key]

    def _usual(self) -> tuple[int, int]:
        """How many steps pad, and repeat, where nothing has to: as few as at the present sizes, or at twice these."""
        key = self.whole, bool(self.lean)
        if key not in self.usual:
            larger = {one.name: 2 * self.present(one) for one in self.variants.settings if one.side}
            found = [one for values in ({}, larger) if (one := self._outcome(values)).word == RUNS]
            padded, repeated = [one.padded for one in found], [one.repeated for one in found]
            self.usual[key] = min(padded, default=0), min(repeated, default=0)
        return self.usual[key]

    def present(self, one: Dial) -> int:
        """Its value, or the one that makes the model run or trials quick; an input's size follows the image's."""
        chosen = {**self.lean, **self.base}
        sides = (
            chosen[side.name]
            for side in self.variants.settings
            if side.side and side.name in chosen and side.axis == one.axis
        )
        return chosen.get(one.name, next(sides, one.value))

    def good(self, values: Values) -> bool | None:
        """Whether the model runs as it should with these values; None where that cannot be told."""
        word = self.at(values).word
        return None if word == UNKNOWN else word == RUNS

    def _ask(self, names: Sequence[str], value: int) -> bool | None:
        """Whether it runs with these settings at one value. Raises NoMore where the share is spent."""
        found = self.at(dict.fromkeys(names, value))
        if found is NOT_TRIED:
            raise NoMore
        return None if found.word == UNKNOWN else found.word == RUNS

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
        here = self._outcome({})
        others = (self._outcome({first.name: value}) for value in (first.value + 1, 2 * first.value))
        return any(there.word != RUNS or there.made != here.made or there is NOT_TRIED for there in others)

    def _found(self, settings: Sequence[Dial]) -> Found:
        """The rule for a setting, or for several that are equal; it holds for the model with all its shapes too."""
        found = self._searched(settings)
        if found.rule is None or self.variants.whole == self.variants.few:
            return found
        names, present = [one.name for one in settings], self.present(settings[0])
        self.whole = True
        near = dict.fromkeys((*found.rule.nearest(present, 1), *found.rule.nearest(3 * present, 1)))
        if any(self.good(dict.fromkeys(names, value)) is False for value in near):
            return self._searched(settings)
        self.whole = False
        return found

    def _searched(self, settings: Sequence[Dial]) -> Found:
        names = [one.name for one in settings]
        others = [self.present(one) for one in self.variants.settings if one not in settings and self.present(one) > 1]
        present = max(self.present(settings[0]), 1)
        ask = partial(self._ask, names)
        if counts_layers(settings[0]):
            return _layers(ask, present)
        guess = self._guess(settings[0]) if len(settings) == 1 else None
        found = find_rule(ask, present, list(dict.fromkeys(others)), guess)
        if found.rule is not None and (stem := _stem(settings[0])):
            self.stages[stem] = settings[0].name.removeprefix(stem), found.rule
        return found

    def _guess(self, one: Dial) -> Allowed | None:
        """The rule of another element of the same list, with the numbers of this element's stage."""
        stem = _stem(one)
        index, rule = self.stages.get(stem, ("", None)) if stem else ("", None)
        if rule is None or rule.most is not None or rule.below:
            return None
        here, place = one.name.removeprefix(stem), {each.name: each for each in self.variants.settings}

        def moved(number: int) -> int:
            pairs = ((each, place.get(_stem(each) + here)) for each in place.values() if each.name.endswith(index))
            return next((self.present(two) for each, two in pairs if two and self.present(each) == number), number)

        divides = moved(rule.divides) if rule.divides else None
        step = moved(rule.step) if rule.step > 1 else 1
        return replace(rule, step=step, divides=divides, least=step if rule.least == rule.step else rule.least)

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
            tried = len(found.answers)
            return SizeRule(names, value, "", tried, together, works=works, outside=outside, cut=found.spent)
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
            below=rule.below,
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
            if outcome is not NOT_TRIED and outcome.word not in (RUNS, *seen):
                seen.add(outcome.word)
                yield Example(number, outcome.word, outcome.where, outcome.why)

    def nearest(self, rule: SizeRule, value: int, wanted: int) -> list[int]:
        """Values next to one that follow a rule and were tried."""
        if not rule.rule:
            return sorted(rule.works, key=lambda one: abs(one - value))[:wanted]
        allowed = rule.allowed()
        names = rule.names if rule.together else rule.names[:1]
        near = allowed.nearest(value, wanted)
        return [number for number in near if self.good(dict.fromkeys(names, number))]

    def shortfall(self) -> Iterator[str]:
        """A note where the budget ended the search."""
        if self.skipped:
            yield f"the budget of {BUDGET:,} stages, traced or spent on building, ended the search for some rules"


def _stem(one: Dial) -> str:
    """The name of the list that a setting is an element of; "" where it is none."""
    return one.name.rpartition("[")[0] if one.name.endswith("]") and not one.side else ""


def _equals(words: str, number: int) -> str:
    """patch_size·8 = 32"""
    return f"{words} = {number}"


def _layers(ask: Callable[[int], bool | None], present: int) -> Found:
    """The rule for a number of layers: any, where a few others run."""
    answers: dict[int, bool | None] = {}
    try:
        for value in dict.fromkeys((present, 1, 2, present + 1)):
            answers[value] = ask(value)
    except NoMore:
        return Found(None, answers, spent=True)
    least = min((value for value, good in answers.items() if good), default=1)
    rule = Allowed(least) if all(good for value, good in answers.items() if value >= least) else None
    return Found(rule if any(answers.values()) else None, answers)


def made_of(search: SizeSearch, group: Sequence[Dial], rule: Allowed, number: int) -> str:
    """What a rule's number is made of, "patch_size·8" or "image_size÷4": settings that it grows with; "" if unknown."""
    factors, rest = [], Fraction(number)
    for name, others in _by_name(search, group).items():
        value = search.present(others[0])
        if rest == 1:
            break
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
    """The other settings; the sides of an image, and pairs of equal elements, change together under one name."""
    found: dict[str, list[Dial]] = {}
    for one in search.variants.settings:
        if one not in group and one.role != "input" and not (one.side and group[0].axis in ("H", "W")):
            stem = _stem(one)
            pair = [each.value for each in search.variants.settings if stem and _stem(each) == stem]
            alike = one.side or (len(pair) == 2 and pair[0] == pair[1])
            found.setdefault(one.name.partition("[")[0] if alike else one.name, []).append(one)
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
