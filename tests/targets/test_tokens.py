"""A part of a model that takes tokens is fed tokens: its forward runs as it does on real CPU tensors of that shape."""

import pytest
import torch
from helpers.targets import library_target

from vit_trace.diagnose.diagnose import diagnosed

PARTS = """
import torch
from torch import nn

class Mlp(nn.Module):
    def __init__(self, dim=192):
        super().__init__()
        self.layer = nn.Linear(dim, 2 * dim)
    def forward(self, x):
        return self.layer(x)

class Narrow(Mlp):
    def __init__(self, inner=48):
        super().__init__(inner)

class Cross(nn.Module):
    def __init__(self, dim=64, heads=4):
        super().__init__()
        self.norm, self.attn = nn.LayerNorm(dim), nn.MultiheadAttention(dim, heads, batch_first=True)
    def forward(self, x, context):
        return self.attn(self.norm(x), context, context)[0]

class Grid(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.norm, self.conv = nn.LayerNorm(dim), nn.Conv2d(dim, dim, 3, padding=1)
    def forward(self, x, H, W):
        b, n, c = x.shape
        return self.conv(self.norm(x).transpose(1, 2).view(b, c, H, W))

class Last(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
    def forward(self, x):
        b, h, w, c = x.shape
        return self.norm(x).permute(0, 3, 1, 2)

class Square(Last):
    def forward(self, x):
        b, n, c = x.shape
        return self.norm(x).view(b, int(n**0.5), int(n**0.5), c)

class Window(nn.Module):
    def __init__(self, dim=96, window_size=(7, 7)):
        super().__init__()
        self.layer, self.bias = nn.Linear(dim, dim), nn.Parameter(torch.zeros(window_size[0] * window_size[1], dim))
    def forward(self, x):
        return self.layer(x) + self.bias

class Conditioned(Last):
    def forward(self, x, c):
        return self.norm(x) * c.unsqueeze(1)

class Pixels(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * 224 * 224, 5)
    def forward(self, x):
        return self.layer(x.flatten(1))

class Patches(nn.Module):
    def __init__(self, dim=192):
        super().__init__()
        self.layer = nn.Linear(768, dim)
    def forward(self, x):
        return self.layer(x.unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 1, 4, 5).flatten(3))
"""
FACTS = {  # the shapes that it is fed, the formula of the last output
    "Mlp": ([(2, 196, 192)], "b × n × 2*dim"),
    "Narrow": ([(2, 196, 48)], "b × n × 96"),
    "Cross": ([(2, 196, 64), (2, 196, 64)], "b × n × dim"),
    "Grid": ([(2, 196, 64), 14, 14], "b × dim × h × w"),
    "Last": ([(2, 14, 14, 64)], "b × dim × h × w"),
    "Square": ([(2, 196, 64)], "b × 14 × 14 × dim"),
    "Window": ([(2, 49, 96)], "b × 49 × dim"),
    "Conditioned": ([(2, 196, 64), (2, 64)], "b × n × dim"),
    "Pixels": ([(2, 3, 224, 224)], "b × 5"),
    "Patches": ([(2, 3, 224, 224)], "b × h1 × w1 × dim"),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_part_is_fed_what_its_forward_takes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token_parts.py").write_text(PARTS)
    fed, dims = FACTS[name]
    target = library_target(f"token_parts.py:{name}")
    trace = diagnosed(target)
    assert trace.failure is None
    args, _ = target.inputs()
    assert [one if isinstance(one, int) else tuple(one.shape) for one in args] == fed
    assert " × ".join(trace.outputs[0].dims) == dims
    real = {}
    exec(PARTS, real)
    out = real[name]()(*(one if isinstance(one, int) else torch.rand(one) for one in fed))
    assert tuple(out.shape) == trace.outputs[0].shape


def test_a_part_that_fails_on_tokens_is_reported_on_tokens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = PARTS.replace("return self.layer(x) + self.bias", "return self.layer(x) @ self.layer(x)")
    (tmp_path / "bad_parts.py").write_text(bad)
    failure = diagnosed(library_target("bad_parts.py:Window")).failure
    assert failure.code == "matmul" and failure.operands[0].shape == (2, 49, 96)
