"""Numbers near a number and its divisors, against a plain search; and in a bounded time for any number."""

import pytest

from vit_trace.base.numbers import FAR, divisors, numbers_near


@pytest.mark.parametrize("number", [1, 2, 5, 12, 97, 768, 3072])
def test_as_a_plain_search(number):
    assert divisors(number) == [one for one in range(1, number + 1) if number % one == 0]
    assert sorted(numbers_near(number)) == [one for one in range(max(1, number // 2), 2 * number + 1) if one != number]


@pytest.mark.parametrize("number", [10**9 + 7, 10**18, 2**61 - 1])
def test_a_huge_number(number):
    assert divisors(number)[0] == 1 and divisors(number)[-1] == number
    assert all(number % one == 0 for one in divisors(number))
    near = numbers_near(number)
    assert len(near) == 2 * FAR and all(abs(one - number) <= FAR for one in near)
