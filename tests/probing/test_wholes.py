"""Divisions that should leave no rest, and layers that repeat: what a trace says of them holds in torch."""

import pytest
import torch
from torch import nn

import vit_trace


class Net(nn.Module):
    """Patches by a convolution, a width in heads; what refuses a rest is an argument."""

    def __init__(self, img_size=64, patch_size=8, dim=48, num_heads=4, depth=6, strict=True, odd_last=False):
        super().__init__()
        if strict and img_size % patch_size:
            raise ValueError("no whole patches")
        self.inner, self.heads = dim // num_heads * num_heads, num_heads
        if strict and dim != self.inner:
            raise ValueError("no whole heads")
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.positions = nn.Parameter(torch.zeros(1, (img_size // patch_size) ** 2, dim))
        self.qkv = nn.ModuleList([nn.Linear(dim, self.inner) for _ in range(depth)])
        self.out = nn.ModuleList([nn.Linear(self.inner, dim) for _ in range(depth)])
        self.extra = nn.Linear(dim, dim) if odd_last and depth > 5 else nn.Identity()

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.positions
        for first, last in zip(self.qkv, self.out, strict=True):
            heads = first(x).unflatten(-1, (self.heads, -1))
            x = x + last(heads.flatten(-2))
        return self.extra(x)


def made(**settings):
    return vit_trace.trace(f"{__file__}:Net", **settings)


def test_what_is_refused_is_told_from_what_runs():
    strict, loose = made(), made(strict=False)
    said = [{(one.top, one.bottom): one.rest for one in trace.wholes} for trace in (strict, loose)]
    assert said[0]["dim", "heads"] == "refused" and said[1].get(("dim", "heads")) != "refused"
    assert said[1]["H", "p"] == "dropped"
    with pytest.raises(ValueError, match="60 is not a multiple of p 8"):
        strict.at(img_size=60)
    assert loose.at(img_size=60).outputs[0].shape == made(strict=False, img_size=60).outputs[0].shape


def test_layers_that_only_repeat_have_a_symbol():
    assert made().symbols["depth"].kept[0] == 2
    assert made(odd_last=True).symbols["depth"].kept[0] == 6  # with five there is a step less
