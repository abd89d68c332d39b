"""Grids that are read out of tables of sines and cosines, as other people make them; learned tables have none."""

import pytest
import torch
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from vit_pytorch.simple_vit import posemb_sincos_2d

from vit_trace.diagnose.diagnose import diagnosed
from vit_trace.diagnose.resolve import targeted
from vit_trace.mixing.tables import _grid_of
from vit_trace.targets.complaints import contained
from vit_trace.targets.request import Request


@pytest.mark.parametrize("grid", [(16, 16), (8, 32), (32, 8), (4, 9), (7, 7)])
def test_the_grid_of_a_table_is_read(grid):
    assert _grid_of(build_sincos2d_pos_embed(list(grid), dim=48)) == grid


def test_the_grid_of_another_library_is_read():
    assert _grid_of(posemb_sincos_2d(h=6, w=9, dim=48)) == (6, 9)


@pytest.mark.parametrize("shape", [(64, 32), (256, 48)])
def test_a_learned_table_has_none(shape):
    assert _grid_of(torch.randn(shape)) is None
    assert _grid_of(torch.zeros(shape)) is None


MODEL = """
import torch
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from torch import nn

class Net(nn.Module):
    def __init__(self, height=32, width=128, grid=({grid})):
        super().__init__()
        self.embed = nn.Conv2d(3, 48, 4, 4)
        self.register_buffer("positions", build_sincos2d_pos_embed(list(grid), dim=48)[None])
        self.block = nn.TransformerEncoderLayer(48, 3, 96, batch_first=True)
        self.head = nn.Linear(48, 10)

    def forward(self, images):
        x = self.embed(images).flatten(2).transpose(1, 2)
        x = x + self.positions
        return self.head(self.block(x).mean(1))
"""


@pytest.mark.parametrize(("grid", "codes"), [("16, 16", ["position-grid"]), ("8, 32", [])])
def test_a_table_of_another_grid_is_warned_of_where_it_is_added(grid, codes, tmp_path):
    (tmp_path / "net.py").write_text(MODEL.format(grid=grid))
    target = targeted(f"{tmp_path / 'net.py'}:Net", Request(inputs=("2x3x32x128",)))
    with contained():
        found = [one for one in diagnosed(target, formulas=False).diagnostics if one.severity == "warning"]
    assert [one.code for one in found] == codes
    assert all(one.span.text == "x + self.positions" for one in found)
