"""Rules for whole numbers: what `find_rule` says of numbers that it may ask about, held to rules that we know."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vit_trace.dims.allowed import MOST_ASKED, Allowed, find_rule

STEPS = (1, 2, 3, 4, 6, 7, 8, 10, 12, 14, 16, 28, 32, 56, 64)
WIDTHS = (7, 8, 12, 14, 56, 60, 64, 96, 192, 384, 768, 1024)


@st.composite
def ranges(draw):
    """A step, the first and the last multiple of it that works, and one that works."""
    step, least = draw(st.sampled_from(STEPS)), draw(st.integers(1, 3))
    most = draw(st.none() | st.integers(9, 20))
    return step, least * step, most and most * step, step * draw(st.integers(least, most or 30))


@settings(max_examples=300, deadline=None)
@given(ranges())
def test_multiples_in_a_range(known):
    step, least, most, present = known

    def works(number):
        return number % step == 0 and number >= least and (most is None or number <= most)

    found = find_rule(works, present)
    assert found.rule is not None and len(found.answers) <= MOST_ASKED
    assert [found.rule.holds(number) for number in range(1, 8 * present)] == [
        works(number) for number in range(1, 8 * present)
    ]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(WIDTHS), st.data(), st.booleans())
def test_divisors(width, data, told):
    present = data.draw(st.sampled_from([one for one in range(1, width + 1) if width % one == 0]))
    found = find_rule(lambda number: width % number == 0, present, (224, width) if told else (224, 3))
    assert found.rule is not None
    assert [one for one in range(1, 3 * width) if found.rule.holds(one)] == [
        one for one in range(1, width + 1) if width % one == 0
    ]


@pytest.mark.parametrize(
    ("works", "present", "others", "words"),
    [
        (lambda n: n % 32 == 0 and n >= 64, 224, (), "multiples of 32, from 64"),
        (lambda n: n % 16 == 1, 225, (), "1 more than a multiple of 16"),
        (lambda n: n <= 16 and n % 2 == 0, 16, (), "even, up to 16"),
        (lambda n: n == 224, 224, (), "only 224"),
        (lambda n: n % 12 == 0, 770, (12,), "multiples of 12"),
        (lambda n: 768 % n == 0 and n % 2 == 0, 12, (768,), "divides 768 and is a multiple of 2: 2 4 6 8 12 16 24"),
        (lambda n: 64 % n == 0, 2, (32,), "divides 64: 1 2 4 8 16 32 64"),
        (lambda n: True, 1000, (), "any number"),
        (lambda n: n % 256 == 0 or n in (32, 64, 128), 256, (), "32 64 128, or multiples of 256"),
        (lambda n: all(r <= n or r % n == 0 for r in (56, 28, 14, 7)), 7, (224,), "1 7 14 28, or any number from 56"),
        (lambda n: n in (8, 16), 16, (), "only 8 or 16"),
    ],
)
def test_words(works, present, others, words):
    assert find_rule(works, present, others).rule.words().startswith(words)


def test_what_is_no_rule_is_not_made_one():
    squares = find_rule(lambda number: int(number**0.5) ** 2 == number, 16)
    assert squares.rule is None and squares.answers[16]


def test_nothing_works():
    assert find_rule(lambda number: False, 24).rule is None


def test_an_answer_that_cannot_be_told_is_no_refusal():
    assert find_rule(lambda number: None if number > 300 else number % 14 == 0, 224).rule == Allowed(14, None, 14)


def test_where_nothing_else_can_be_told_there_is_no_rule():
    found = find_rule(lambda number: True if number == 8 else None, 8)
    assert found.rule is None and found.answers[8]


def test_nearest():
    assert Allowed(64, 512, 32).nearest(500) == [512, 480]
    assert Allowed(1, None, 1, 0, 192).nearest(5, 3) == [4, 6, 3]
