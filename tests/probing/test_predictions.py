"""Formulas of one trace predict traces at settings that were not probed: none is wrong, no constant is false."""

import pytest
from helpers.predictions import predictions
from targets.test_targets import QUICK, SLOW

ALL = QUICK | SLOW


@pytest.mark.slow
@pytest.mark.parametrize("spec", ALL)
def test_nothing_predicted_is_wrong(spec):
    count = predictions(spec, ALL[spec])
    assert count.settings > 3 and count.predicted > 100
    assert not count.wrong[:5]
    assert not count.false_constants[:5]


def test_a_small_model_at_settings_that_were_not_probed():
    count = predictions("timm:vit_tiny_patch16_224", ("depth=1",))
    assert count.covered == 1 and count.settings > 10
    assert not count.wrong and not count.false_constants
