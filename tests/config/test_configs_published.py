"""configs/: every file loads, and builds a model with as many parameters as its source says."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from helpers.places import CONFIGS

from vit_trace.config import REFERENCE, ViTConfig, load
from vit_trace.config.hyperparameters import KEYS

TOLERANCE = 0.01


class Published(NamedTuple):
    """A parameter count in a paper or a model zoo, and what has to be changed or added to compare with it."""

    config: str
    millions: float
    source: str
    image_size: str = "224"
    missing_blocks: int = 0  # attention pooling: one more block, which the built-in ViT does not have


PUBLISHED = [
    Published("vit_ti_16", 5.7, "model card of vit_tiny_patch16_224 in timm"),
    Published("vit_ti_16", 5.8, "Steiner et al. 2022, for 384 pixels", image_size="384"),
    Published("vit_s_16", 22.0, "Touvron et al. 2021, Table 1"),
    Published("vit_s_16", 22.2, "Steiner et al. 2022, for 384 pixels", image_size="384"),
    Published("vit_s_32", 22.9, "model card of vit_small_patch32_224 in timm"),
    Published("vit_b_16", 86, "Dosovitskiy et al. 2021, Table 1"),
    Published("vit_b_32", 88.2, "torchvision's vit_b_32"),
    Published("vit_l_16", 307, "Dosovitskiy et al. 2021, Table 1"),
    Published("vit_l_32", 307, "Dosovitskiy et al. 2021, Table 1"),
    Published("vit_h_14", 632, "Dosovitskiy et al. 2021, Table 1"),
    Published("vit_g_14", 1011, "Zhai et al. 2022, Table 2"),
    Published("vit_gigantic_14", 1843, "Zhai et al. 2022, Table 2"),
    Published("vit_e_14", 3926, "Chen et al. 2023 (PaLI)", missing_blocks=1),
    Published("vit_22b_14", 21743, "Dehghani et al. 2023, Table 1"),
]

# torchvision's `num_params`: the same architecture but for biases on q, k and v, so this is exact.
EXACT = [
    ("vit_b_16", "224", 86_567_656),
    ("vit_b_32", "224", 88_224_232),
    ("vit_l_16", "224", 304_326_632),
    ("vit_l_32", "224", 306_535_400),
    ("vit_h_14", "518", 633_470_440),
]


def parameters(c: ViTConfig) -> int:
    """The built-in ViT's parameters, added up by hand."""
    patch_pixels = c.patch_size[0] * c.patch_size[1]
    patches = c.image_size[0] * c.image_size[1] // patch_pixels
    embedding = (c.channels * patch_pixels + 1) * c.dim + (patches + 1) * c.dim + c.dim
    return embedding + c.depth * block(c) + 2 * c.dim + (c.dim + 1) * c.num_classes


def block(c: ViTConfig) -> int:
    inner = c.heads * c.dim_head
    projection = 0 if c.heads == 1 and c.dim_head == c.dim else (inner + 1) * c.dim
    attention = 2 * c.dim + 3 * c.dim * inner + projection
    feed_forward = 2 * c.dim + (c.dim + 1) * c.mlp_dim + (c.mlp_dim + 1) * c.dim
    return attention + feed_forward


def config(name: str, image_size: str = "") -> ViTConfig:
    return load(CONFIGS / f"{name}.yaml", {"image_size": image_size} if image_size else {})


def names() -> list[str]:
    return sorted(path.stem for path in CONFIGS.iterdir())


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.config}={row.millions}M")
def test_parameters_are_as_published(row: Published) -> None:
    c = config(row.config, row.image_size)
    counted = parameters(c) + row.missing_blocks * block(c)
    assert counted == pytest.approx(row.millions * 1e6, rel=TOLERANCE), row.source


@pytest.mark.parametrize(("name", "image_size", "published"), EXACT)
def test_parameters_differ_from_torchvision_by_the_biases_of_q_k_v(name: str, image_size: str, published: int) -> None:
    c = config(name, image_size)
    assert parameters(c) + 3 * c.dim * c.depth == published


def test_reference_is_the_default_and_has_its_parameters() -> None:
    assert config("reference") == REFERENCE
    assert parameters(REFERENCE) == 53_617_684


def test_every_file_is_published_or_the_reference_and_no_two_names_collide() -> None:
    assert names() == sorted({row.config for row in PUBLISHED} | {"reference"})
    assert len({name.lower() for name in names()}) == len(names())
    assert all(path.suffix == ".yaml" for path in CONFIGS.iterdir())


@pytest.mark.parametrize("name", names())
def test_file_says_every_key_and_its_source(name: str) -> None:
    text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+):", text, re.MULTILINE)) == set(KEYS)
    assert text.startswith("# ")
    assert name == "reference" or "# Source: " in text


@pytest.mark.parametrize("name", [name for name in names() if name != "reference"])
def test_heads_fill_the_width_and_the_title_says_the_count(name: str) -> None:
    c = config(name)
    assert c.heads * c.dim_head == c.dim
    title = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8").split("\n", 1)[0]
    [stated] = re.findall(r"([\d,.]+) M parameters", title)
    # To a unit of the last digit given.
    unit = 10 ** -len(stated.partition(".")[2])
    assert float(stated.replace(",", "")) == pytest.approx(parameters(c) / 1e6, abs=unit / 2)


@pytest.mark.parametrize("name", names())
def test_built_on_meta_it_has_the_parameters_counted_by_hand(name: str) -> None:
    torch = pytest.importorskip("torch")
    vit = pytest.importorskip("vit_trace.vit")
    c = config(name)
    arguments = {key: getattr(c, key) for key in KEYS if key != "batch_size"}
    with torch.device("meta"):
        model = vit.ViT(**arguments)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters(c)
