"""Models and configs that ask for more than fits: layers, classes, elements of a parameter, values."""

from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case
from tests.hostile.network import READ, config_file, void

BILLION = 10**9

CONFIGS: dict[str, dict[str, object]] = {
    "layers": {"model_type": "vit", "num_hidden_layers": BILLION},
    "layers, as many as an int holds": {"model_type": "vit", "num_hidden_layers": 2**59},
    "layers of a part": {"model_type": "clip", "vision_config": {"num_hidden_layers": BILLION}},
    "depths": {"model_type": "swin", "depths": [2, BILLION]},
    "many stages": {"model_type": "swin", "depths": [1] * 20_000},
    "classes": {"model_type": "vit", "num_labels": 10**7, "architectures": ["ViTForImageClassification"]},
    "image": {"model_type": "vit", "image_size": BILLION},
    "image, as a pair": {"model_type": "vit", "image_size": [BILLION, BILLION]},
    "width": {"model_type": "vit", "hidden_size": 12 * 10**8},
    "hidden width": {"model_type": "vit", "intermediate_size": BILLION},
    "layers of dinov2": {"model_type": "dinov2", "num_hidden_layers": BILLION},
    "layers of beit": {"model_type": "beit", "num_hidden_layers": BILLION},
    "layers of convnext": {"model_type": "convnext", "depths": [BILLION] * 4},
    "20,000 layers": {"model_type": "vit", "num_hidden_layers": 20_000},
    "5,000 layers of many modules": {"model_type": "vit", "num_hidden_layers": 5_000},
}

MODELS = {
    "a million layers": "nn.Sequential(*[nn.Linear(8, 8) for _ in range(10**6)])",
    "a million layers in a list": "nn.ModuleList(nn.Linear(8, 8) for _ in range(10**6))",
    "a million empty layers": "nn.Sequential(*[nn.Identity() for _ in range(10**6)])",
    "a large parameter": "nn.Linear(10**6, 10**6)",
    "a large table": "nn.Embedding(10**9, 768)",
    "large values": "torch.linspace(0, 1, 10**9).tolist()",
    "large random values": "int(torch.rand(10**5, 10**5).sum())",
}
"""What a constructor makes."""

SETTINGS = {
    "timm:vit_tiny_patch16_224": ("depth=1000000", "depth=1000000000", "img_size=1000000000", "num_classes=10000000"),
    "timm:swin_tiny_patch4_window7_224": ("depths=(1000000000,2)", "embed_dim=100000000"),
    "torchvision:vit_b_16": ("num_classes=1000000000", "image_size=160000000"),
    "hf:ViTConfig": ("num_hidden_layers=1000000", "image_size=1600000000", "num_labels=10000000"),
    "hf:CLIPVisionConfig": ("num_hidden_layers=1000000000",),
}

STATED = ("modules=x", "modules=-1", "modules", "layers=5", "elements=" + "9" * 500)
"""Limits that are none."""


def model_file(made: str) -> Callable[[Path], None]:
    """Writes model.py, whose class Model makes something in its constructor."""
    text = f"""
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.made = {made}
        self.conv = nn.Conv2d(3, 8, 16, 16)

    def forward(self, x):
        return self.conv(x)
"""
    return lambda folder: void(folder.joinpath("model.py").write_text(text))


CASES = [
    *(
        Case(f"config: {name}", READ, 2, "over-limit", config_file(values), requires="transformers")
        for name, values in CONFIGS.items()
    ),
    *(
        Case(name, ("model.py:Model", "--no-formulas"), 2, "over-limit", model_file(made))
        for name, made in MODELS.items()
    ),
    *(
        Case(f"{spec} {setting}", (spec, "--set", setting, "--no-formulas"), 2, "over-limit")
        for spec, settings in SETTINGS.items()
        for setting in settings
    ),
    *(Case(f"--limit {text[:20]}", ("hf:ViTConfig", "--limit", text), 2, "error[") for text in STATED),
]
