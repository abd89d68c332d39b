"""The sizes that `vit-trace models` says of libraries' models, against the libraries themselves."""

import pytest

from vit_trace.targets.defined import scanned_names
from vit_trace.targets.sizes import given_sizes


def test_timms_are_its_own():
    timm = pytest.importorskip("timm")
    given, names = given_sizes("timm"), scanned_names("timm")
    real = {name: timm.models.get_pretrained_cfg(name, allow_unregistered=True) for name in names}
    sizes = {name: tuple(cfg.input_size[1:]) for name, cfg in real.items() if cfg is not None}
    said = {name: given[name].image for name in names if name in given}
    assert {name: size for name, size in said.items() if size != sizes.get(name)} == {}
    assert len(said) > 0.9 * len(names)


def test_torchvisions_are_its_own():
    torchvision = pytest.importorskip("torchvision")
    given = given_sizes("torchvision")
    for name, (image, parameters) in given.items():
        weights = [*torchvision.models.get_model_weights(name)]
        assert parameters in {one.meta["num_params"] for one in weights}
        crops = [getattr(one.transforms, "keywords", {}).get("crop_size") for one in weights]
        assert image is None or image[0] in crops or image in crops
    assert given["vit_b_16"] == ((224, 224), 86567656) and given["swin_v2_t"].image == (256, 256)
    assert len(given) > 0.8 * len(scanned_names("torchvision"))


@pytest.mark.parametrize("name", ["ViTConfig", "SwinConfig", "BeitConfig", "YolosConfig", "VivitConfig", "DPTConfig"])
def test_transformers_are_its_own(name):
    size = getattr(pytest.importorskip("transformers"), name)().image_size
    assert given_sizes("hf")[name].image == (tuple(size) if isinstance(size, (list, tuple)) else (size, size))


def test_a_library_that_is_not_there_says_nothing():
    assert given_sizes("nosuch") == {}
