"""Formulas of one trace predict traces at settings that were not probed: none is wrong, no constant is false.

The slow test takes the models of SHARE; with VIT_TRACE_ALL_MODELS=1 in the environment it takes all of
`targets/test_targets.py`, about half an hour.
"""

import os

import pytest
from helpers.predictions import predictions
from targets.test_targets import QUICK, RARE, SLOW

ALL = QUICK | SLOW | RARE
SHARE = (
    *("timm:vit_small_patch14_reg4_dinov2", "timm:eva02_tiny_patch14_224", "timm:xcit_nano_12_p16_224"),
    *("hf:ViTForImageClassification", "hf:SwinModel", "hf:BridgeTowerVisionConfig"),
    *("torchvision:vit_b_16", "vit_pytorch.simple_vit:SimpleViT", "vit_pytorch.vit_3d:ViT"),
)
FLOORS = {"timm": 0.97, "hf": 0.94, "torchvision": 1, "vit_pytorch": 0.996}
"""Share of the sizes of all models of a library that have a formula or are proven to be constant."""


@pytest.mark.slow
@pytest.mark.parametrize("library", FLOORS)
def test_nothing_predicted_is_wrong(library):
    sizes = known = 0
    for spec in ALL if os.environ.get("VIT_TRACE_ALL_MODELS") else SHARE:
        if not spec.startswith(library):
            continue
        count = predictions(spec, ALL[spec])
        assert count.settings > 3 and count.predicted > 100, spec
        assert not count.wrong[:5], spec
        assert not count.false_constants[:5], spec
        sizes, known = sizes + count.sizes, known + count.known
    assert known >= FLOORS[library] * sizes, (known, sizes)


def test_a_small_model_at_settings_that_were_not_probed():
    count = predictions("timm:vit_tiny_patch16_224", ("depth=1",))
    assert count.covered == 1 and count.settings > 10
    assert not count.wrong and not count.false_constants


REFUSES = """
from torch import nn
class Net(nn.Module):
    '''Takes images of whole windows only, pairs that are equal only, and one number that cannot be any other.'''
    def __init__(self, embed_dim=(24, 48), num_heads=(3, 6), key_dim=4, pool=(2, 2), spread=8, least=16):
        super().__init__()
        if pool[0] != pool[1] or least % 16 or least > 80:
            raise ValueError
        self.stem = nn.Conv2d(3, embed_dim[0], 4, 4)
        self.pool = nn.AvgPool2d(pool)
        self.keys = nn.Linear(embed_dim[0], num_heads[0] * key_dim)
        self.spread, self.least = nn.Linear(embed_dim[0], spread), nn.Linear(embed_dim[0], least)
        self.down = nn.Conv2d(embed_dim[0], embed_dim[1], 2, 2)
        self.heads = num_heads
    def forward(self, x):
        if x.shape[2] % 56 or x.shape[3] % 56:
            raise ValueError
        x = self.stem(x)
        kept = self.pool(x).flatten(2).transpose(1, 2)
        kept = self.keys(kept), self.spread(kept), self.least(kept)
        last = self.down(x).flatten(2).transpose(1, 2)
        return kept, last.unflatten(2, (self.heads[1], -1))
"""


def test_a_model_that_refuses_most_other_sizes(tmp_path, monkeypatch):
    """A knob that cannot be varied with the rest takes no other with it; images are multiples of the real one."""
    (tmp_path / "refuses_most.py").write_text(REFUSES)
    monkeypatch.chdir(tmp_path)
    count = predictions("refuses_most.py:Net", (), "2x3x56x56")
    assert not count.wrong and not count.false_constants
    assert count.covered > 0.95, count


ROUNDED = """
from torch import nn
class Net(nn.Module):
    def __init__(self, dim=24, heads=3):
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, dim, 4, 4), nn.Conv2d(dim, dim // 4 * 4, 1)
    def forward(self, x):
        return self.down(self.stem(x))
"""


def test_a_width_that_is_rounded_is_not_said_to_be_the_width(tmp_path, monkeypatch):
    (tmp_path / "rounded_width.py").write_text(ROUNDED)
    monkeypatch.chdir(tmp_path)
    count = predictions("rounded_width.py:Net", ())
    assert not count.wrong, count


SCALED = """
from torch import nn
class Net(nn.Module):
    def __init__(self, img_size=240, img_scale=(1.0, 224 / 240), patch_size=(12, 16), embed_dim=24):
        super().__init__()
        self.sides = [int(img_size * scale) for scale in img_scale]
        self.stems = nn.ModuleList(nn.Conv2d(3, embed_dim, stride, stride) for stride in patch_size)
    def forward(self, x):
        sized = [nn.functional.interpolate(x, size=(side, side)) for side in self.sides]
        return [stem(image).flatten(2) for stem, image in zip(self.stems, sized)]
"""


def test_an_image_that_is_scaled_by_a_fraction(tmp_path, monkeypatch):
    """The same model takes its image at 14/15 of its size too."""
    (tmp_path / "scaled_image.py").write_text(SCALED)
    monkeypatch.chdir(tmp_path)
    count = predictions("scaled_image.py:Net", ())
    assert not count.wrong and not count.false_constants
    assert count.covered == 1, count


RECORDS = """
from dataclasses import dataclass
from torch import nn
@dataclass
class Block:
    width: int
    dim: int
@dataclass
class Config:
    blocks: tuple = (Block(24, 48), (Block(40, 72), Block(56, 88)))
class Net(nn.Module):
    def __init__(self, config=Config()):
        super().__init__()
        blocks = [config.blocks[0], *config.blocks[1]]
        inputs = [3, *(block.width for block in blocks)]
        self.layers = nn.Sequential()
        for given, block in zip(inputs, blocks):
            self.layers.append(nn.Conv2d(given, block.dim, 3, 2, 1))
            self.layers.append(nn.Conv2d(block.dim, block.width, 1))
    def forward(self, x):
        return self.layers(x)
"""


def test_numbers_of_records_in_lists_are_varied(tmp_path, monkeypatch):
    (tmp_path / "records_in_lists.py").write_text(RECORDS)
    monkeypatch.chdir(tmp_path)
    count = predictions("records_in_lists.py:Net", ())
    assert not count.wrong and not count.false_constants
    assert count.covered == 1 and count.settings > 20, count


TIED = """
from torch import nn
class Net(nn.Module):
    '''Takes one number of heads only, and two widths that must be equal.'''
    def __init__(self, embed_dim=24, num_heads=3, neck_width=24, spread=8):
        super().__init__()
        if embed_dim != neck_width or num_heads != 3:
            raise ValueError
        self.stem, self.neck = nn.Conv2d(3, embed_dim, 4, 4), nn.Linear(neck_width, 2 * neck_width)
        self.heads, self.spread = num_heads, nn.Linear(embed_dim, spread)
    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        return self.neck(x), self.spread(x), x.unflatten(2, (self.heads, -1))
"""


def test_numbers_that_must_be_equal_and_one_that_cannot_be_another(tmp_path, monkeypatch):
    (tmp_path / "tied_widths.py").write_text(TIED)
    monkeypatch.chdir(tmp_path)
    count = predictions("tied_widths.py:Net", ())
    assert not count.wrong and not count.false_constants
    assert count.covered == 1 and count.settings > 10, count


EACH = """
import torch
from torch import nn
class Net(nn.Module):
    '''Runs more steps for more images.'''
    def __init__(self, embed_dim=24, patch_size=4):
        super().__init__()
        self.stem, self.neck = nn.Conv2d(3, embed_dim, patch_size, patch_size), nn.Linear(embed_dim, 2 * embed_dim)
    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        return torch.stack([self.neck(one).softmax(-1) for one in x])
"""


def test_a_forward_that_goes_through_its_images_one_by_one(tmp_path, monkeypatch):
    (tmp_path / "each_image.py").write_text(EACH)
    monkeypatch.chdir(tmp_path)
    count = predictions("each_image.py:Net", ())
    assert not count.wrong and not count.false_constants
    assert count.covered == 1, count


TILED = """
import einops
from torch import nn
class Net(nn.Module):
    '''Cuts a grid into tiles of a side, and makes keys coarser by another; names of neither are known.'''
    def __init__(self, width=24, s1_side=7, s1_reduce=2, s2_side=7):
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, width, 4, 4), nn.Conv2d(width, 2 * width, 2, 2)
        self.keys = nn.Conv2d(width, width, s1_reduce, s1_reduce)
        self.sides = s1_side, s2_side
    def forward(self, x):
        kept = []
        for layer, side in zip((self.stem, self.down), self.sides):
            x = layer(x)
            kept.append(einops.rearrange(x, "b c (h p) (w q) -> (b h w) (p q) c", p=side, q=side))
            x = x if len(kept) > 1 else x + 0 * self.keys(x).mean((2, 3), keepdim=True)
        return kept
"""


def test_sides_of_tiles_by_any_name(tmp_path, monkeypatch):
    (tmp_path / "tiled_grids.py").write_text(TILED)
    monkeypatch.chdir(tmp_path)
    count = predictions("tiled_grids.py:Net", (), "2x3x224x224")
    assert not count.wrong and not count.false_constants
    assert count.covered == 1, count


def test_the_length_of_a_series():
    count = predictions("vit_pytorch.vit_1d:ViT", ALL["vit_pytorch.vit_1d:ViT"])
    assert not count.wrong and not count.false_constants
    assert count.covered == 1 and count.settings > 20, count


@pytest.mark.slow
def test_few_windows_are_counted_too():
    """MaxViT's last stage is one window: how many there are says so little that larger images have to be traced."""
    count = predictions("torchvision:maxvit_t", ())
    assert not count.wrong and not count.false_constants
    assert count.covered == 1, count


@pytest.mark.slow
def test_widths_are_changed_before_numbers_that_add_parts():
    """MobileViT's blocks hold 45 numbers, more than the budget can change one by one."""
    count = predictions("timm:mobilevit_xxs", ())
    assert not count.wrong and not count.false_constants
    assert count.covered > 0.86, count
