"""Finds numbers near another one, and the divisors of one, in a bounded time however large it is."""

FAR = 20_000
"""Distance from a number beyond which no number is near it."""

MOST_TRIED = 1_000_000
"""Numbers that are tried as divisors; of a product of two larger numbers only 1 and itself are found."""


def numbers_near(number: int, times: int = 2) -> list[int]:
    """Numbers from half to twice this one, or so many times, by their ratio: for 5 they are 6, 4, 7, 8, 3, …"""
    least, most = max(1, number // times, number - FAR), min(times * number, number + FAR)
    near = (value for value in range(least, most + 1) if value != number)
    return sorted(near, key=lambda value: max(value / number, number / value))


def divisors(number: int) -> list[int]:
    """What divides a number of 1 or more, ascending."""
    small: list[int] = []
    tried = 1
    while tried * tried <= number and tried <= MOST_TRIED:
        if number % tried == 0:
            small.append(tried)
        tried += 1
    return sorted({*small, *(number // one for one in small)})
