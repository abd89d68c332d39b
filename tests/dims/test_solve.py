"""Sizes at which two formulas agree: the one that a person would take comes first."""

import pytest

from vit_trace.base.trace import Symbol
from vit_trace.dims.solve import Condition, solutions

SIDES = {"H": Symbol(256, "image height")}
HALVED = "((H - 1)//2 + 1 - 1)//2 + 1"


@pytest.mark.parametrize(
    ("formula", "wanted", "height"),
    [
        ("H//16", 14, 224),
        ("(H - 1)//16 + 1", 14, 224),  # a convolution with padding: 209 to 224 have 14 rows
        ("(H + 15)//16", 14, 224),
        (HALVED, 56, 224),
        ("(H - 16)//16 + 1", 14, 224),
        ("H//4 + 1", 51, 200),
    ],
)
def test_the_first_size_is_one_that_divides(formula, wanted, height):
    assert next(solutions([Condition.of(formula, str(wanted))], SIDES)) == {"H": height}
