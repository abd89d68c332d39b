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

LADDER = (*range(1, 11), 12, 14, 15, 16, 18, 20, 21, 24, 28, 30, 32, 36, 40, 42, 48, 56, 64, 112, 128)
"""Steps that are tried where a number has few neighbours that will do, in order."""

SMALL = 24
"""Numbers from 1 on that are asked where no step leads far up."""

DENSE = 48
"""Divisors of a number that are asked one by one, at most."""

LARGEST = 100_000
"""What a number may have to divide is smaller."""

GROWTH = (2, 3, 5, 7)
"""Times that a number grows to find what all that will do are divisors of."""

FRACTIONS = ((2, 1), (1, 2), (3, 1), (3, 2), (4, 1), (1, 4), (1, 3), (2, 3), (4, 3), (3, 4), (7, 1), (7, 2), (8, 1))
"""Times the present number where one that will do is looked for first."""

POWERS = (1, 32, 2, 16, 4, 8)
"""Times another number whose multiples are tried: strides double from stage to stage."""

HELD_OUT = 5
"""Numbers inside a rule, and as many outside, that a rule is confirmed at."""

MOST_ASKED = 120
"""Numbers asked for one rule, at most."""


class _NoMore(Exception):
    """No more numbers may be asked."""


@dataclass(frozen=True)
class Allowed:
    """Numbers from `least` to `most` (None: no end was found) that are `rest` more than a multiple of `step`.

    With `divides`, only divisors of that number.
    """

    least: int = 1
    most: int | None = None
    step: int = 1
    rest: int = 0
    divides: int | None = None

    def holds(self, number: int) -> bool:
        """Whether the rule allows a number."""
        if number < self.least or (self.most is not None and number > self.most) or number % self.step != self.rest:
            return False
        return self.divides is None or self.divides % number == 0

    def numbers(self) -> Iterator[int]:
        """The numbers it allows, in order; without an end where it has none."""
        last = self.divides if self.most is None else self.most
        every = count(self.least, 1) if last is None else range(self.least, last + 1)
        return (number for number in every if self.holds(number))

    def nearest(self, number: int, wanted: int = 2) -> list[int]:
        """The allowed numbers next to one, the nearest first."""
        reach = range(max(self.least, number - 4 * self.step - 64), number + 4 * self.step + 64)
        held = sorted((one for one in reach if one != number and self.holds(one)), key=lambda one: abs(one - number))
        return held[:wanted] or list(islice(self.numbers(), wanted))

    def words(self, step: str = "", divides: str = "") -> str:
        """The rule in words: "multiples of 32, from 64". `step` and `divides` say what these numbers are made of."""
        if len(held := list(islice(self.numbers(), 13))) == 1:
            return f"only {held[0]}"
        if self.divides is not None:
            more = " …" if len(held) > 12 else ""
            even = f" and is a multiple of {self.step}" if self.step > 1 else ""
            return f"divides {divides or self.divides}{even}: {' '.join(map(str, held[:12]))}{more}"
        first, last = self._ends()
        if self.step == 1:
            return f"any number{first}{last}"
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
        """Whether all of these will do. Raises _NoMore."""
        return all(self._answer(number) is True for number in numbers)

    def _answer(self, number: int) -> bool | None:
        if number < 1:
            return False
        if number not in self.known:
            if len(self.known) >= self.limit:
                raise _NoMore
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


def find_rule(ask: Ask, present: int, others: Sequence[int] = (), limit: int = MOST_ASKED) -> Found:
    """The simplest rule that agrees with all answers.

    Args:
        ask: says whether a number will do.
        present: the number that it is now.
        others: numbers that it may have to divide or be a multiple of, the likeliest first.
        limit: numbers that may be asked.
    """
    answers = _Answers(ask, limit)
    try:
        start = _start(answers, present, others)
        if start is None:
            return Found(None, answers.known)
        for rule in _rules(answers, start, others):
            if answers.fits(rule) and _confirmed(answers, rule, start):
                return Found(rule, answers.known)
    except _NoMore:
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


def _rules(answers: _Answers, start: int, others: Sequence[int]) -> Iterator[Allowed]:
    """Rules that may hold, the simplest first."""
    for rule in _steps(answers, start):
        yield from _ranged(answers, rule, start)
    for number in _dividends(answers, start, others):
        yield from _divisors(answers, number, start)
    yield Allowed(start, start)


def _steps(answers: _Answers, start: int) -> Iterator[Allowed]:
    """Steps that lead up from a number to others that will do; where none does, the smallest that leads to any."""
    found = False
    if start < SMALL // FAR:
        for number in range(1, SMALL + 1):
            answers.good(number)
    for step in (1, start, *STEPS):
        if answers.good(start + step, start + 2 * step):
            found = True
            least = _smallest(step, lambda one: answers.good(start + one, start + 2 * one, start + 3 * one))
            yield Allowed(step=least, rest=start % least)
            if step == 1:
                break
    if found:
        return
    for number in range(1, SMALL + 1):  # so that a rule of few numbers is not taken for another
        answers.good(number)
    for step in dict.fromkeys((*LADDER, *(start // prime for prime in _primes(start)))):
        if step < start and (answers.good(start - step) or answers.good(start + step)):
            yield Allowed(step=step, rest=start % step)
            return


def _smallest(step: int, works: Callable[[int], bool]) -> int:
    """The smallest divisor of a step that works in its place, found one prime at a time."""
    for prime in _primes(step):
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
    top = start + max(FAR * start // rule.step, 2 * SMALL // rule.step) * rule.step
    whole = replace(rule, least=least)
    if answers.good(top) or answers.known[top] is None:  # as far as could be told
        yield whole
    else:
        yield replace(whole, most=_edge(answers, rule.step, top, start))


def _edge(answers: _Answers, step: int, far: int, near: int) -> int:
    """The number furthest from `near` towards `far`, in steps, up to which all will do."""
    if answers.good(far):
        return far
    sign = 1 if far > near else -1
    low, high = 0, abs(far - near) // step
    while high - low > 1:
        middle = (low + high) // 2
        if answers.good(near + sign * middle * step):
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
    good = [one for one in held if answers.good(one)] if len(held) <= DENSE else []
    if start not in good or any(answers.good(number * times) for times in GROWTH):
        return
    yield Allowed(good[0], good[-1] if good[-1] < number else None, divides=number)
    step = gcd(*good)
    yield Allowed(good[0], good[-1] if good[-1] < number else None, step, 0, number)


def _confirmed(answers: _Answers, rule: Allowed, start: int) -> bool:
    """Whether the rule holds at numbers that were not asked, drawn with a fixed seed."""
    draw, last = random.Random(start), max(FAR * start, 2 * SMALL)
    inside = [one for one in islice(rule.numbers(), 400) if one not in answers.known and one <= last]
    reach = range(1, max(2 * start + 4 * rule.step, 2 * SMALL))
    outside = [one for one in reach if not rule.holds(one) and one not in answers.known]
    for group, wanted in ((inside, True), (outside, False)):
        for number in draw.sample(group, min(HELD_OUT, len(group))):
            answers.good(number)
            if answers.known[number] is not None and answers.known[number] is not wanted:
                return False
    return True
