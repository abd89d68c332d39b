"""The flags of the built-in ViT on other people's models give what the library's own call with its own names gives."""

import pytest
from helpers.targets import library_target

from vit_trace.base.refused import Refused

timm = pytest.importorskip("timm")
transformers = pytest.importorskip("transformers")
torchvision = pytest.importorskip("torchvision")
vit_pytorch = pytest.importorskip("vit_pytorch")
t2t = pytest.importorskip("vit_pytorch.t2t")

OWN = """
from torch import nn
class Net(nn.Module):
    def __init__(self, width, patch_sz=(2, 16, 16), n_layers=3):
        super().__init__()
        self.embed = nn.Conv3d(3, width, patch_sz, patch_sz)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(n_layers))
"""
PLAIN = dict(image_size=64, patch_size=16, num_classes=10, dim=64, depth=2, heads=4, mlp_dim=96)


def _vit_b_16():
    return torchvision.models.VisionTransformer(224, 32, 2, 6, 768, 3072)


def _vision_config():
    clip = transformers.CLIPConfig()
    clip.vision_config.num_hidden_layers, clip.vision_config.patch_size = 2, 16
    return transformers.CLIPModel(clip)


def _hf():
    more = dict(num_hidden_layers=2, num_attention_heads=4, hidden_size=96, intermediate_size=100, num_labels=7)
    return transformers.ViTForImageClassification(transformers.ViTConfig(**more))


FACTS = [
    (  # depth, heads and mlp_dim are None in its signature, and wanted by an assertion
        "vit_pytorch.t2t:T2TViT",
        dict(image_size="64", num_classes="10", dim="64", depth="2", heads="4", mlp_dim="128"),
        lambda: t2t.T2TViT(image_size=64, num_classes=10, dim=64, depth=2, heads=4, mlp_dim=128),
    ),
    (
        "timm:vit_tiny_patch16_224",
        dict(depth="2", heads="6", patch_size="32x16", num_classes="7", channels="4"),
        lambda: timm.create_model(
            "vit_tiny_patch16_224", depth=2, num_heads=6, patch_size=(32, 16), num_classes=7, in_chans=4
        ),
    ),
    (
        "timm:swin_tiny_patch4_window7_224",
        dict(dim="48"),
        lambda: timm.create_model("swin_tiny_patch4_window7_224", embed_dim=48),
    ),
    ("hf:ViTForImageClassification", dict(depth="2", heads="4", dim="96", mlp_dim="100", num_classes="7"), _hf),
    ("hf:CLIPModel", dict(depth="2", patch_size="16"), _vision_config),
    ("torchvision:vit_b_16", dict(depth="2", heads="6", patch_size="32"), _vit_b_16),
    ("vit_pytorch:ViT", {name: str(value) for name, value in PLAIN.items()}, lambda: vit_pytorch.ViT(**PLAIN)),
]


def _shapes(model):
    return {name: tuple(one.shape) for name, one in model.state_dict().items()}


@pytest.mark.parametrize(("spec", "flags", "theirs"), FACTS, ids=[spec for spec, *_ in FACTS])
def test_a_flag_sets_the_argument_of_its_role(spec, flags, theirs):
    assert _shapes(library_target(spec, flags=flags).build()) == _shapes(theirs())


def test_own_classes_are_set_by_role_also_where_the_argument_is_required(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net.py").write_text(OWN)
    found = _shapes(library_target("own_net.py:Net", flags=dict(dim="24", patch_size="8", depth="1")).build())
    assert found["embed.weight"] == (24, 3, 2, 8, 8) and len(found) == 4
    beside = library_target("own_net.py:Net", ["n_layers=2"], flags=dict(dim="24", depth="1"))
    assert len(_shapes(beside.build())) == 6, "--set is more than a flag"


@pytest.mark.parametrize(
    ("spec", "flags", "says"),
    [
        ("timm:swin_tiny_patch4_window7_224", dict(depth="2"), "--set depths=2,2,6,2 is what it has"),
        ("timm:vit_tiny_patch16_224", dict(pool="mean"), "--set global_pool=VALUE (it is 'token')"),
        ("timm:vit_tiny_patch16_224", dict(heads="many"), "--heads many: it takes a whole number above 0"),
        ("timm:vit_tiny_patch16_224", dict(patch_size="0"), "it takes 16 or 16x8"),
        ("timm:vit_tiny_patch16_224", dict(dim_head="32"), "no argument of this model is known to mean that"),
        ("hf:ViTModel", dict(num_classes="7"), "no argument of this model is known to mean that"),
    ],
)
def test_a_flag_that_no_argument_answers_to_is_refused(spec, flags, says):
    with pytest.raises(Refused) as refused:
        library_target(spec, flags=flags)
    (found,) = refused.value.diagnostics
    assert says in f"{found.message} {' '.join(found.help)}"
