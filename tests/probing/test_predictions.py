"""Formulas of one trace predict traces at settings that were not probed: none is wrong, no constant is false.

The slow test takes the models of SHARE; with VIT_TRACE_ALL_MODELS=1 in the environment it takes all of
`targets/test_targets.py`, about half an hour.
"""

import os
from statistics import mean

import pytest
from helpers.predictions import predictions
from targets.test_targets import QUICK, SLOW

ALL = QUICK | SLOW
SHARE = (
    *("timm:vit_small_patch14_reg4_dinov2", "timm:eva02_tiny_patch14_224", "timm:xcit_nano_12_p16_224"),
    *("hf:ViTForImageClassification", "hf:SwinModel", "hf:BridgeTowerVisionConfig"),
    *("torchvision:vit_b_16", "vit_pytorch.simple_vit:SimpleViT", "vit_pytorch.vit_3d:ViT"),
)
FLOORS = {"timm": 0.97, "hf": 0.94, "torchvision": 1, "vit_pytorch": 0.996}
"""Share of the sizes with a formula, on average over the models of a library."""


@pytest.mark.slow
@pytest.mark.parametrize("library", FLOORS)
def test_nothing_predicted_is_wrong(library):
    covered = {}
    for spec in ALL if os.environ.get("VIT_TRACE_ALL_MODELS") else SHARE:
        if not spec.startswith(library):
            continue
        count = predictions(spec, ALL[spec])
        assert count.settings > 3 and count.predicted > 100, spec
        assert not count.wrong[:5], spec
        assert not count.false_constants[:5], spec
        covered[spec] = count.covered
    assert mean(covered.values()) >= FLOORS[library], covered


def test_a_small_model_at_settings_that_were_not_probed():
    count = predictions("timm:vit_tiny_patch16_224", ("depth=1",))
    assert count.covered == 1 and count.settings > 10
    assert not count.wrong and not count.false_constants
