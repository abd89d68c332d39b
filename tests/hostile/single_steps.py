"""Steps that pass on meta and that a real run refuses, or the other way round; Python's own refusals."""

from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import Case

MODEL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = {layer}

    def forward(self, x):
        return {result}
"""


def _model(layer: str, result: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / "m.py").write_text(MODEL.format(layer=layer, result=result))

    return prepare


def _step(name: str, given: str, says: str, result: str = "self.layer(x)", layer: str = "nn.Linear(4, 4)") -> Case:
    return Case(name, ("m.py:Net", "--input", given), 1 if says else 0, says, _model(layer, result))


TRANSPOSED = "nn.ConvTranspose2d(12, 6, 2, stride=2)"
CASES = [
    _step("softmax over an axis that is not there", "2x3x4", "error[wrong-rank]", "self.layer(x).softmax(3)"),
    _step("sort over an axis that is not there", "2x3x4", "error[wrong-rank]", "self.layer(x).sort(5)[0]"),
    _step("half precision into a transposed convolution", "3x12x6x12:float16", "error[dtype]", layer=TRANSPOSED),
    _step("a transposed convolution without a batch", "12x6x8", "", layer=TRANSPOSED),
    _step("float64 into LayerNorm", "2x5x4:float64", "error[dtype]", layer="nn.LayerNorm(4)"),
    _step("float64 into BatchNorm2d", "2x4x3x3:float64", "error[dtype]", layer="nn.BatchNorm2d(4)"),
    _step("float64 into Linear without bias", "2x4:float64", "error[dtype]", layer="nn.Linear(4, 3, bias=False)"),
    _step("floats into Embedding", "2x3:float32", "error[dtype]", layer="nn.Embedding(5, 3)"),
    _step("a vector times a matrix of another dtype", "4:float64", "error[", "x @ self.layer.weight"),
    _step("a bias of the wrong length", "2x4", "error[", "nn.functional.linear(x, self.layer.weight, x[0, :3])"),
    _step("in place with more axes", "2x6x6x1", "error[broadcast]", "x.mul_(torch.ones(8, device=x.device))"),
    _step("a misspelled layer", "2x4", "self.layer", "self.layr(x)"),
    _step("a misspelled variable", "2x4", "error[python-error]", "self.layer(xx)"),
]
