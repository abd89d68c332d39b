"""Inputs that no tensor can be, asked for by settings, by --image-size and by --input."""

from pathlib import Path

from tests.hostile.case import Case

MODEL = "from torch import nn\nclass Net(nn.Flatten):\n    def __init__(self, dim=4): super().__init__()\n"
SETTINGS = (
    "torchvision:vit_b_16 --set image_size=-32",
    "hf:SwinModel --set image_size=-64",
    "hf:ResNetModel --image-size 99999999999999",
    "timm:convnext_tiny --image-size 99999999999999",
    "timm:swin_tiny_patch4_window7_224 --set img_size=1000000000000 --set strict_img_size=False",
    "hf:Qwen2VLConfig --image-size 1000000x1000000 --set text_config.num_hidden_layers=1 --set vision_config.depth=1",
    "vit-pytorch:na_vit.NaViT --set batch_size=1000000000",
)
GIVEN = ("1000000000000:int64", "20000000x20:bool", "2x3x99999999999x99999999999", "input=99999999999:int32")


def _model(folder: Path) -> None:
    (folder / "m.py").write_text(MODEL)


CASES = [
    *(Case(f"an input of {words}", (*words.split(" "), "--no-formulas")) for words in SETTINGS),
    *(Case(f"--input {text}", ("m.py:Net", "--input", text), 2, "error[", _model) for text in GIVEN),
]
