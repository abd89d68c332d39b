"""`explain` of sizes, shapes, parameters and symbols of the built-in ViT: what they are made of and by which step."""

import pytest
from helpers.commands import call

ANSWERS = [
    ("65", ["65 = n+1 = 8·8 + 1: 8×8 patches (image 256 ÷ patch 32) and the class token, put there by cat in forward"]),
    ("65", ["transformer.layers.0…5: 17 places each", "doubling image_size makes n+1 257"]),
    ("3072", ["c·p1·p2 = 3·32·32", "3·heads·dim_head = 3·16·64: attention heads 16, head dimension 64, made by"]),
    ("5x1024", ["5×1024 = b × dim: made from 5×65×1024 by getitem x[:, 0] in forward, vit.py:"]),
    ("5x1024", ["which takes one of 65 (n+1)", "doubling dim makes 5×2048"]),
    ("pos_embedding", ["pos_embedding: a parameter of 1×65×1024 = 1 × n+1 × dim"]),
    ("n", ["n: patches", "64 = n = 8·8: 8×8 patches (image 256 ÷ patch 32)"]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "says"), ANSWERS)
def test_what_is_asked_is_answered_at_once(what, says, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    code, out, err = call(capfd, "explain", what)
    assert (code, err) == (0, "")
    assert all(text in out for text in says), out


def test_a_class_token_is_named_only_where_the_source_names_one(capfd, monkeypatch, tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    _, out, _ = call(capfd, "explain", "model.py:Net", "18")
    assert "4×4 patches (image 32 ÷ patch 8) and 2 more" in out and "class token" not in out


MODEL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=24):
        super().__init__()
        self.patches = nn.Conv2d(3, dim, patch_size, patch_size)
        self.two = nn.Parameter(torch.zeros(1, 2, dim))
        self.head = nn.Linear(dim, 10)

    def forward(self, img):
        x = self.patches(img).flatten(2).transpose(1, 2)
        x = torch.cat((self.two.expand(x.shape[0], -1, -1), x), dim=1)
        return self.head(x.mean(dim=1))
"""


def test_a_shape_that_nothing_has_is_refused_with_others(capfd):
    code, _, err = call(capfd, "explain", "5x1025")
    assert code == 2 and "no stage has an output of 5×1025" in err and "×1024" in err


@pytest.mark.parametrize("what", ["197", "2x768"])
def test_what_the_built_in_model_lacks_may_be_asked_of_another(what, capfd, tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    example = f"name your model: vit-trace explain timm:vit_base_patch16_224 {what}"
    assert example in call(capfd, "explain", what).err
    assert example not in call(capfd, "explain", f"{tmp_path}/model.py:Net", what).err
