"""Models of libraries at hand: their sizes at other hyperparameters are those of real models."""

import pytest
import torch
from helpers.everything import RARELY

import vit_trace

pytestmark = pytest.mark.slow


def timm(name, **own):
    return lambda **values: pytest.importorskip("timm").create_model(name, **own, **values)


def torchvision(**values):
    models = pytest.importorskip("torchvision").models
    own = dict(image_size=64, patch_size=16, num_layers=2, num_heads=4, hidden_dim=64, mlp_dim=96)
    return models.VisionTransformer(**own | values)


def hugging_face(model, config):
    def make(**values):
        library = pytest.importorskip("transformers")
        return getattr(library, model)(getattr(library, config)(num_hidden_layers=2, **values))

    return make


CASES = {
    "timm, distilled": (timm("deit_small_distilled_patch16_224", depth=2), 224, {"embed_dim": 96, "num_heads": 3}),
    "timm, depths": (timm("swin_tiny_patch4_window7_224", depths=(1, 1)), 224, {"embed_dim": 48}),
    "torchvision, width": (torchvision, 64, {"hidden_dim": 96}),
    "torchvision, two": (torchvision, 64, {"num_heads": 8, "mlp_dim": 50}),
    "a config, what follows": (
        hugging_face("ViTModel", "ViTConfig"),
        224,
        {"hidden_size": 96, "num_attention_heads": 4},
    ),
    "a config of a part": (hugging_face("CLIPVisionModel", "CLIPVisionConfig"), 224, {"intermediate_size": 100}),
}


@pytest.mark.parametrize("case", [*list(CASES)[:2], *(pytest.param(one, marks=RARELY) for one in list(CASES)[2:])])
def test_sizes_at_other_hyperparameters_are_those_of_a_real_model(case):
    make, side, values = CASES[case]
    image = torch.zeros(2, 3, side, side)
    there = vit_trace.trace(make(), image).at(**values)
    real = vit_trace.trace(make(**values), image, formulas=False)
    known = 0
    for stage, other in zip(there, real, strict=True):
        for shape, own in zip(stage.shapes, other.shapes, strict=True):
            assert all(size in (-1, wanted) for size, wanted in zip(shape, own, strict=True)), stage.name
            known += len(shape) - shape.count(-1)
    assert known > 100
    if there.totals.bound == "exact":
        assert there.totals.parameters == real.totals.parameters
