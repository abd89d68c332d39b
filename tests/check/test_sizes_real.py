"""Rules of `vit-trace sizes` for models of all libraries, held to real builds and forwards on CPU: none is wrong.

The slow test takes the models of SHARE, our own, and two values of each kind; a library's model takes a minute or more.
With VIT_TRACE_ALL_MODELS=1 in the environment it takes all models, and 20 values inside and outside each rule: an hour.
"""

import os

import pytest
from helpers.real_sizes import RealModel, wrong_values

from vit_trace.check.sizes.sizes import size_report
from vit_trace.diagnose.resolve import targeted
from vit_trace.targets.request import Request

TIMM = (
    *("vit_tiny_patch16_224", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256"),
    *("hiera_tiny_224", "maxvit_tiny_tf_224", "eva02_tiny_patch14_224", "beit_base_patch16_224", "cait_xxs24_224"),
    *("xcit_nano_12_p16_224", "crossvit_tiny_240", "pvt_v2_b0", "mobilevit_xxs", "efficientformer_l1"),
    *("efficientformerv2_s0", "levit_128s", "convnext_atto"),
)
HF = {
    "ViTModel": ("hidden_size=96", "num_attention_heads=3", "intermediate_size=128"),
    "Dinov2Model": ("hidden_size=96", "num_attention_heads=3"),
    "SwinModel": (),
    "SegformerModel": (),
    "VideoMAEModel": ("hidden_size=48", "num_attention_heads=3", "image_size=64", "num_frames=8"),
}
OTHERS = {
    "torchvision:vit_b_16": (),
    "torchvision:swin_t": (),
    "torchvision:maxvit_t": (),
    "vit_pytorch.vit:ViT": tuple("image_size=64 patch_size=8 num_classes=10 dim=48 depth=2 heads=4 mlp_dim=64".split()),
    "vit_pytorch.simple_vit:SimpleViT": tuple(
        "image_size=64 patch_size=8 num_classes=10 dim=48 depth=2 heads=4 mlp_dim=64".split()
    ),
    "tests/helpers/own_models.py:ViT": (),
    "tests/helpers/own_models.py:MHAViT": (),
    "tests/helpers/own_models.py:UNETR": (),
}
MODELS = {f"timm:{name}": () for name in TIMM} | {f"hf:{name}": given for name, given in HF.items()} | OTHERS
SHARE = tuple(spec for spec in OTHERS if spec.startswith("tests/"))
EVERYTHING = bool(os.environ.get("VIT_TRACE_ALL_MODELS"))


@pytest.mark.slow
@pytest.mark.parametrize("spec", MODELS if EVERYTHING else SHARE)
def test_no_rule_is_wrong(spec):
    target = targeted(spec, Request(assignments=MODELS[spec]))
    rules = [rule for rule in size_report(target).rules if rule.rule]
    assert rules
    model = RealModel(target)
    assert not [wrong for rule in rules for wrong in wrong_values(model, rule, 20 if EVERYTHING else 2)]
