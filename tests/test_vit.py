"""The built-in ViT computes what the classic implementation computes, from weights under its names."""

import math

import pytest
import torch
from torch import Tensor

from vit_trace.vit import ViT

SMALL = dict(image_size=32, patch_size=8, num_classes=7, dim=24, depth=3, heads=4, dim_head=5, mlp_dim=36)

CASES = {
    "plain": {},
    "mean": dict(pool="mean"),
    "one channel": dict(channels=1),
    "not square": dict(image_size=(24, 40), patch_size=(4, 10)),
    "one head, no projection": dict(heads=1, dim_head=24),
    "one head, narrow": dict(heads=1, dim_head=8),
    "dropout": dict(dropout=0.3, emb_dropout=0.2),
}


def linear(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    y = x @ weights[f"{name}.weight"].T
    return y + weights[f"{name}.bias"] if f"{name}.bias" in weights else y


def norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def logits(image: Tensor, weights: dict[str, Tensor], settings: dict) -> Tensor:
    """The forward pass written out with loops and slices, no einops and no nn."""
    p1, p2 = settings["patch_size"] if isinstance(settings["patch_size"], tuple) else (settings["patch_size"],) * 2
    heads, dim_head = settings["heads"], settings["dim_head"]
    batch, _, height, width = image.shape
    patches = [
        image[:, :, top : top + p1, left : left + p2].permute(0, 2, 3, 1).reshape(batch, -1)
        for top in range(0, height, p1)
        for left in range(0, width, p2)
    ]
    x = linear(torch.stack(patches, 1), weights, "to_patch_embedding.1")
    x = torch.cat([weights["cls_token"].expand(batch, 1, -1), x], 1) + weights["pos_embedding"]
    for layer in range(settings["depth"]):
        at = f"transformer.layers.{layer}"
        rows = linear(norm(x, weights, f"{at}.0.norm"), weights, f"{at}.0.fn.to_qkv")
        inner = heads * dim_head
        results = []
        for head in range(heads):
            part = slice(head * dim_head, (head + 1) * dim_head)
            q, k, v = (
                rows[..., :inner][..., part],
                rows[..., inner : 2 * inner][..., part],
                rows[..., 2 * inner :][..., part],
            )
            results.append(torch.softmax(q @ k.mT / math.sqrt(dim_head), -1) @ v)
        out = torch.cat(results, -1)
        x = x + (linear(out, weights, f"{at}.0.fn.to_out.0") if f"{at}.0.fn.to_out.0.weight" in weights else out)
        hidden = linear(norm(x, weights, f"{at}.1.norm"), weights, f"{at}.1.fn.net.0")
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        x = x + linear(hidden, weights, f"{at}.1.fn.net.3")
    x = x.mean(1) if settings.get("pool") == "mean" else x[:, 0]
    return linear(norm(x, weights, "mlp_head.0"), weights, "mlp_head.1")


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_the_written_out_forward(case):
    settings = SMALL | CASES[case]
    model = ViT(**settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
        height, width = settings["image_size"] if isinstance(settings["image_size"], tuple) else (32, 32)
        image = torch.randn(3, settings.get("channels", 3), height, width)
        torch.testing.assert_close(
            model(image), logits(image, dict(model.named_parameters()), settings), atol=1e-4, rtol=1e-4
        )


NAMES = {
    *("pos_embedding", "cls_token", "to_patch_embedding.1.weight", "to_patch_embedding.1.bias"),
    *(f"transformer.layers.0.0.{name}" for name in ("norm.weight", "norm.bias", "fn.to_qkv.weight")),
    *(f"transformer.layers.0.0.fn.to_out.0.{name}" for name in ("weight", "bias")),
    *(f"transformer.layers.0.1.{name}" for name in ("norm.weight", "norm.bias")),
    *(f"transformer.layers.0.1.fn.net.{name}" for name in ("0.weight", "0.bias", "3.weight", "3.bias")),
    *("mlp_head.0.weight", "mlp_head.0.bias", "mlp_head.1.weight", "mlp_head.1.bias"),
}
PROJECTION = {"transformer.layers.0.0.fn.to_out.0.weight", "transformer.layers.0.0.fn.to_out.0.bias"}


def test_parameter_names():
    assert set(ViT(**SMALL | dict(depth=1)).state_dict()) == NAMES
    assert set(ViT(**SMALL | dict(depth=1, heads=1, dim_head=24)).state_dict()) == NAMES - PROJECTION


def test_refuses_what_does_not_divide():
    with pytest.raises(ValueError, match="33x32"):
        ViT(**SMALL | dict(image_size=(33, 32)))
    with pytest.raises(ValueError, match="max"):
        ViT(**SMALL | dict(pool="max"))
