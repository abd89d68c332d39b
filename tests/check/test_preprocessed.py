"""The size that an image processor makes against the size that the model takes."""

import json
from pathlib import Path

import pytest

from vit_trace.check.judge import judge_spec
from vit_trace.targets.request import Request

SMALL = {"hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 192, "num_hidden_layers": 1}
VIT = {"model_type": "vit", "architectures": ["ViTModel"], "image_size": 64, **SMALL}
DINOV2 = {"model_type": "dinov2", "architectures": ["Dinov2Model"], "image_size": 70, "patch_size": 14, "mlp_ratio": 4}

CASES = [
    (VIT, {"size": {"height": 64, "width": 64}}, None),
    (VIT, {"size": {"height": 96, "width": 96}}, "the image processor makes 96×96, the model takes 64×64"),
    (VIT, {"size": 96}, "the image processor makes 96×96, the model takes 64×64"),
    (VIT, {"size": {"shortest_edge": 96}}, None),
    (VIT, {"size": {"shortest_edge": 96}, "do_center_crop": True, "crop_size": 64}, None),
    (VIT, {"size": 64, "do_center_crop": True, "crop_size": 80}, "the image processor makes 80×80"),
    ({**DINOV2, **SMALL}, {"do_center_crop": True, "crop_size": {"height": 56, "width": 56}}, None),
]


@pytest.mark.parametrize(("config", "processor", "expected"), CASES)
def test_a_size_that_fails_is_said(config, processor, expected, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    said = [one for one in judge_spec(str(tmp_path), Request()).diagnostics if one.code == "preprocessor-size"]
    assert [one.message.startswith(expected) for one in said] == [True] if expected else not said
    assert all(one.span is not None and one.span.file.endswith("preprocessor_config.json") for one in said)
