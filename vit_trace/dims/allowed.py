"""Finds which whole numbers something may be, as a rule, by asking at few of them. No torch.

A rule is a step with a rest (multiples of 32, every 16th from 1 on), the divisors of a number, or one number alone,
each within a range. It is found from the answers at a few numbers and confirmed at others that took no part.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice, zip_longest
from math import gcd, isqrt, lcm

from vit_trace.base.numbers import divisors, numbers_near

Ask = Callable[[int], bool | None]
"""Whether a number will do; None where that cannot be told."""

FAR = 8
"""Times the present number up to which a maximum is looked for."""

STEPS = (840, 1344, 1440, 2520)
"""Numbers of many divisors: one of them is a multiple of most steps."""

DOWN = (1, 60, 48, 56, 64, 112, 8, 4, 6, 2, 3, 7)
"""Steps down that are tried where none leads up: one of them is a multiple of most."""

PARTS = (4, 3, 2, 5, 7, 8, 12)
"""Parts of the present number that are tried as steps down before."""

FEW_NUMBERS = 4
"""Fewer numbers than this are listed instead of described."""

DENSE = 48
"""Divisors of a number that are asked one by one, at most."""

FEW = 8
"""Divisors of a number that are asked first: where all will do, the others are taken to."""

LARGEST = 100_000
"""What a number may have to divide is smaller."""

GROWTH = (2, 3, 5, 7)
"""Times that a number grows to find what all that will do are divisors of."""

FRACTIONS = ((2, 1), (1, 2), (3, 1), (3, 2), (4, 1), (1, 4), (1, 3), (2, 3), (4, 3), (3, 4), (7, 1), (7, 2), (8, 1))
"""Times the present number where one that will do is looked for first."""

POWERS = (1, 32, 2, 16, 4, 8)
"""Times another number whose multiples are tried: strides double from stage to stage."""

HELD_OUT = 4
"""Numbers inside a rule, and as many outside, that a rule is confirmed at."""

LEAST_TOP = 48
"""A maximum is looked for up to here at least."""

MOST_ASKED = 80
"""Numbers asked for one rule, at most."""


class NoMore(Exception):
    """No more numbers may be asked."""


@dataclass(frozen=True)
class Allowed:
    """Numbers from `least` to `most` (None: no end was found) that are `rest` more than a multiple of `step`.

    With `divides`, only divisors of that number. `below` are numbers under `least` that are allowed too.
    """

    least: int = 1
    most: int | None = None
    step: int = 1
    rest: int = 0
    divides: int | None = None
    below: tuple[int, ...] = ()

    def holds(self, number: int) -> bool:
        """Whether the rule allows a number."""
        if number in self.below:
            return True
        if number < self.least or (self.most is not None and number > self.most) or number % self.step != self.rest:
            return False
        return self.divides is None or self.divides % number == 0

    def numbers(self) -> Iterator[int]:
        """The numbers it allows, in order; without an end where it has none."""
        last = self.divides if self.most is None else self.most
        first = min((self.least, *self.below))
        every = count(first, 1) if last is None else range(first, last + 1)
        return (number for number in every if self.holds(number))

    def nearest(self, number: int, wanted: int = 2) -> list[int]:
        """The allowed numbers next to one, the nearest first."""
        reach = range(max(1, number - 4 * self.step - 64), number + 4 * self.step + 64)
        held = sorted((one for one in reach if one != number and self.holds(one)), key=lambda one: abs(one - number))
        return held[:wanted] or list(islice(self.numbers(), wanted))

    def words(self, step: str = "", divides: str = "") -> str:
        """The rule in words: "multiples of 32, from 64". `step` and `divides` say what these numbers are made of."""
        if len(held := list(islice(self.numbers(), 13))) < FEW_NUMBERS:
            return f"only {' or '.join(map(str, held))}"
        if self.divides is not None:
            more = " …" if len(held) > 12 else ""
            even = f" and is a multiple of {self.step}" if self.step > 1 else ""
            return f"divides {divides or self.divides}{even}: {' '.join(map(str, held[:12]))}{more}"
        first, last = self._ends()
        if self.below:
            above = f"any number from {self.least}" if self.step == 1 else f"multiples of {step or self.step}"
            return f"{' '.join(map(str, self.below))}, or {above}"
        if self.step == 1:
            return f"any number{first}{last}"
        if (self.step, self.rest) == (2, 1):
            return f"odd{first}{last}"
        if self.rest:
            return f"{self.rest} more than a multiple of {step or self.step}{first}{last}"
        return f"{'even' if self.step == 2 and not step else f'multiples of {step or self.step}'}{first}{last}"

    def _ends(self) -> tuple[str, str]:
        """ ", from 64" where that is not the first of all, and ", up to 512"."""
        natural = self.rest or self.step
        first = f", from {self.least}" if self.least > natural else ""
        return first, f", up to {self.most}" if self.most is not None else ""


@dataclass
class _Answers:
    """Asks at numbers, once each, and counts them."""

    ask: Ask
    limit: int = MOST_ASKED
    known: dict[int, bool | None] = field(default_factory=dict)

    def good(self, *numbers: int) -> bool:
        """Whether all of these will do. Raises NoMore."""
        return all(self.answer(number) is True for number in numbers)

    def answer(self, number: int) -> bool | None:
        """The answer for a number, asked once. Raises NoMore."""
        if number < 1:
            return False
        if number not in self.known:
            if len(self.known) >= self.limit:
                raise NoMore
            self.known[number] = self.ask(number)
        return self.known[number]

    def fits(self, rule: Allowed) -> bool:
        """Whether a rule agrees with everything that was answered."""
        return all(answer is None or rule.holds(number) is answer for number, answer in self.known.items())


@dataclass(frozen=True)
class Found:
    """What came of a search: the rule (None: none was found), every answer, and whether the limit ended it."""

    rule: Allowed | None
    answers: dict[int, bool | None]
    spent: bool = False


def find_rule(ask: Ask, present: int, others: Sequence[int] = (), guess: Allowed | None = None) -> Found:
    """The simplest rule that agrees with all answers.

    Args:
        ask: says whether a number will do.
        present: the number that it is now.
        others: numbers that it may have to divide or be a multiple of, the likeliest first.
        guess: a rule that is only confirmed, where it holds.
    """
    answers = _Answers(ask, MOST_ASKED)
    try:
        if guess is not None and _guessed(answers, guess, present):
            return Found(guess, answers.known)
        start = _start(answers, present, others)
        if start is None:
            return Found(None, answers.known)
        for rule in _rules(answers, start, others):
            if answers.fits(rule) and _confirmed(answers, rule, start):
                return Found(rule, answers.known)
    except NoMore:
        return Found(None, answers.known, spent=True)
    return Found(None, answers.known)


def _start(answers: _Answers, present: int, others: Sequence[int]) -> int | None:
    """A number that will do: the present one, else a near one."""
    tried = islice((present, *near_numbers(present, others)), MOST_ASKED // 2)
    return next((number for number in tried if answers.good(number)), None)


def near_numbers(present: int, others: Sequence[int] = ()) -> Iterator[int]:
    """Other numbers to try, the likeliest first.

    These are, in turn, near divisors of the others, near multiples of them and of them times a power of two, and simple
    fractions and multiples of the present number; then all near ones.
    """
    reach = numbers_near(present)
    shared = [one for one in others if one > 1]
    parts = [one for one in reach if any(other % one == 0 for other in shared)]
    steps = [other * times for times in POWERS for other in shared if other * times <= 2 * present]
    wholes = [present // step * step + more for step in steps for more in (0, step, -step)]
    simple = [present * times // part for times, part in FRACTIONS if present * times % part == 0]
    turns = zip_longest(parts, wholes, simple)
    likely = (one for turn in turns for one in turn if one is not None and one > 0)
    return (one for one in dict.fromkeys((*likely, *reach)) if one != present)


def _guessed(answers: _Answers, guess: Allowed, present: int) -> bool:
    """Whether a guess holds next to the present number, far from it, at its first number, and at one drawn."""
    inside = [*guess.nearest(present, 1), *guess.nearest(3 * present, 1), next(guess.numbers())]
    outside = [present + 1, present + guess.step // 2, 2 * (guess.divides or 0), 3 * present + 1]
    outside.append(max(0, guess.least - guess.step))
    drawn = random.Random(present).sample(range(1, 2 * present + LEAST_TOP), 2)
    return all(answers.answer(one) in (guess.holds(one), None) for one in (present, *inside, *outside, *drawn) if one)


def _rules(answers: _Answers, start: int, others: Sequence[int]) -> Iterator[Allowed]:
    """Rules that may hold, the simplest first."""
    parts = [one for one in others if 1 < one < start and start % one == 0]
    for step in (1, *parts[:2], start):
        yield from _stepped(answers, start, step)
    yield from _open_above(answers, start)
    for number in _dividends(answers, start, others):
        yield from _divisors(answers, number, start)
    for step in STEPS:
        yield from _stepped(answers, start, step)
    for step in (*(start // part for part in PARTS if start % part == 0), *DOWN):
        if step < start and answers.good(start - step):
            yield from _stepped(answers, start, -step)
            break
    yield Allowed(start, start)


def _stepped(answers: _Answers, start: int, step: int) -> Iterator[Allowed]:
    """The rule of the smallest step that works, where one that is a multiple of it leads up, or down if below 0."""
    sign = 1 if step > 0 else -1

    def works(size: int) -> bool:
        if not answers.good(start + sign * size):
            return False
        return any(answers.good(start + times * sign * size) for times in (3, -1, 2))

    if works(abs(step)) or (sign < 0 and answers.good(start + step)):
        least = _smallest(abs(step), works)
        for rule in _ranged(answers, Allowed(step=least, rest=start % least), start):
            yield rule
            below = [one for one in divisors(least) if one < rule.least and answers.good(one)] if least > 1 else []
            if below and rule.most is None:
                yield replace(rule, below=tuple(below))


def _open_above(answers: _Answers, start: int) -> Iterator[Allowed]:
    """Any number from one on, and some below it: of windows, those that divide the grid, and all that are larger."""
    top = max(FAR * start, LEAST_TOP)
    if not answers.good(top, top + 1, top + 5):
        return
    low, high = start, top
    while high - low > 1:
        middle = (low + high) // 2
        if answers.good(middle, middle + 1, middle + 3):
            high = middle
        else:
            low = middle
    for number in divisors(high):
        answers.good(number)
    yield Allowed(high, below=tuple(sorted(one for one, good in answers.known.items() if good and one < high)))


def _smallest(step: int, works: Callable[[int], bool]) -> int:
    """The smallest divisor of a step that works in its place, found one prime at a time."""
    for prime in reversed(_primes(step)):
        while step % prime == 0 and works(step // prime):
            step //= prime
    return step


def _primes(number: int) -> list[int]:
    """The primes that divide a number."""
    found, rest = [], number
    for prime in range(2, isqrt(number) + 1):
        if rest % prime == 0:
            found.append(prime)
            while rest % prime == 0:
                rest //= prime
    return [*found, rest] if rest > 1 else found


def _ranged(answers: _Answers, rule: Allowed, start: int) -> Iterator[Allowed]:
    """The rule from the first number to the last that will do."""
    first = rule.rest or rule.step
    least = _edge(answers, rule.step, first, start)
    top = start + max(FAR * start // rule.step, LEAST_TOP // rule.step, 2) * rule.step
    whole = replace(rule, least=least)
    if answers.answer(top) is not False:  # as far as could be told
        yield whole
    else:
        yield replace(whole, most=_edge(answers, rule.step, top, start))


def _edge(answers: _Answers, step: int, far: int, near: int) -> int:
    """The number furthest from `near` towards `far`, in steps, up to which all will do."""
    if answers.answer(far) is not False:
        return far
    sign = 1 if far > near else -1
    low, high = 0, abs(far - near) // step
    while high - low > 1:
        middle = (low + high) // 2
        if answers.answer(near + sign * middle * step) is not False:
            low = middle
        else:
            high = middle
    return near + sign * low * step


def _dividends(answers: _Answers, start: int, others: Sequence[int]) -> Iterator[int]:
    """Numbers whose divisors may be what will do."""
    yield from (number for number in others if number % start == 0 and number > 1 and answers.good(number))
    whole = lcm(start, *(number for number, good in answers.known.items() if good and number <= 2 * start))
    while whole < LARGEST and (times := next((one for one in GROWTH if answers.good(whole * one)), 0)):
        whole *= times
    if whole < LARGEST and answers.good(whole):
        yield whole


def _divisors(answers: _Answers, number: int, start: int) -> Iterator[Allowed]:
    """The divisors of a number: all of them, those in a range, those that are even."""
    held = divisors(number) if number <= LARGEST else []
    if any(answers.good(number * times) for times in GROWTH):
        return
    few = held if len(held) <= FEW else [*held[:3], *held[-3:], *random.Random(number).sample(held[3:-3], FEW - 6)]
    if answers.good(*few):
        yield Allowed(divides=number)
    good = [one for one in held if answers.good(one)] if len(held) <= DENSE else []
    if start not in good or len(good) < 3:
        return
    yield Allowed(good[0], good[-1] if good[-1] < number else None, divides=number)
    step = gcd(*good)
    yield Allowed(good[0], good[-1] if good[-1] < number else None, step, 0, number)


def _confirmed(answers: _Answers, rule: Allowed, start: int) -> bool:
    """Whether the rule holds at numbers that were not asked: the likeliest to break it, then some drawn.

    A number that it excludes has to be refused: where none of these can be told, nothing is known of them.
    """
    draw, last = random.Random(start), max(FAR * start, LEAST_TOP)
    inside = [one for one in islice(rule.numbers(), 400) if one not in answers.known and one <= last]
    reach = range(1, max(2 * start + 4 * rule.step, LEAST_TOP))
    outside = [one for one in reach if not rule.holds(one) and one not in answers.known]
    bent = [2 * rule.most, 3 * rule.most, 4 * rule.most] if rule.most else []
    if rule.divides:
        bent += [start + rule.least, start - rule.least, 3 * rule.least, 5 * rule.least, *range(2, 17)]
    bent += [one for one in (start // 2, 2 * start, start - 2, start + 2) if not rule.holds(one)]
    drawn = [draw.sample(group, min(HELD_OUT, len(group))) for group in (inside, outside)]
    held = all(answers.answer(one) in (rule.holds(one), None) for one in (*bent, *drawn[1], *drawn[0]) if one > 0)
    excluded = [answer for number, answer in answers.known.items() if not rule.holds(number)]
    return held and (not excluded or False in excluded)
