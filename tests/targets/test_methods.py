"""A method of a class is traced like a forward; the shapes are those of a real call."""

import importlib.util
from pathlib import Path

import pytest
import torch
from helpers.commands import call

from vit_trace.base.trace import Trace

FILE = Path(__file__).parent.parent / "diagnose" / "pages" / "methods.py"


@pytest.mark.parametrize("name", ["features", "classify", "loss", "forward"])
def test_a_method_gives_what_a_real_call_gives(name, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("methods_by_hand", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.Net()
    x = torch.zeros(2, 16, 48) if name == "classify" else torch.zeros(2, 3, 64, 64)
    saved = tmp_path / "trace.json"
    assert call(capsys, f"{FILE}:Net.{name}", "-o", saved).code == 0
    trace = Trace.from_json(saved.read_text())
    assert trace.stages[0].outputs[0].shape == tuple(x.shape)
    assert trace.outputs[0].shape == tuple(getattr(model, name)(x).shape)


def test_a_method_that_takes_the_images_has_the_formulas_of_the_forward(tmp_path, capsys):
    """And what only the forward uses besides, the head, is not said to be unused."""
    saved, whole = tmp_path / "features.json", tmp_path / "forward.json"
    assert call(capsys, f"{FILE}:Net.forward", "-o", whole).code == 0
    code, _, err = call(capsys, f"{FILE}:Net.features", "-o", saved)
    features, forward = (Trace.from_json(file.read_text()).stages[1:] for file in (saved, whole))
    dims = {one.name: one.outputs[0].dims for one in features if one.name and one.kind != "output"}
    same = {one.name: one.outputs[0].dims for one in forward if one.name in dims}
    assert dims["embed"] == ("b", "dim", "h", "h") and dims == same
    assert code == 0 and "unused" not in err


METHODS = [
    ("timm:vit_tiny_patch16_224.forward_features", (2, 3, 224, 224), ("b", "n + 1", "dim")),
    ("timm:vit_tiny_patch16_224.forward_head", (2, 197, 192), ("b", "classes")),
    ("torchvision:vit_b_16._process_input", (2, 3, 224, 224), ("b", "n", "dim")),
]


@pytest.mark.parametrize(("spec", "given", "formula"), METHODS)
def test_a_method_of_a_library_model_gives_what_a_real_call_gives(spec, given, formula, tmp_path, capsys):
    import timm
    import torchvision

    saved, (name, _, method) = tmp_path / "trace.json", spec.partition(":")[2].partition(".")
    make = timm.create_model if spec.startswith("timm:") else torchvision.models.get_model
    code, _, err = call(capsys, spec, "-o", saved)
    trace = Trace.from_json(saved.read_text())
    with torch.device("meta"):
        real = getattr(make(name), method)(torch.zeros(given))
    assert code == 0 and "module-unused" not in err
    assert (trace.stages[0].outputs[0].shape, trace.outputs[0].shape) == (given, tuple(real.shape))
    assert trace.outputs[0].dims == formula


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224.nonsense", "vit_tiny_patch16_224.__init__", "vit_nano.forward"])
def test_what_is_no_method_is_refused_as_a_name(name, capsys):
    code, _, err = call(capsys, f"timm:{name}")
    assert code == 2 and "error[unknown-model]" in err


NOTHING = """
from torch import nn

class Net(nn.Module):
    def nothing(self):
        return 1

    def forward(self, x):
        return x
"""


@pytest.mark.parametrize("spec", ["hf:ViTModel.get_input_embeddings", "nothing.py:Net.nothing"])
def test_a_method_that_takes_no_images_is_no_defect(spec, capsys, tmp_path, monkeypatch):
    (tmp_path / "nothing.py").write_text(NOTHING)
    monkeypatch.chdir(tmp_path)
    code, _, err = call(capsys, spec)
    assert code == 2 and "error[usage]" in err and "help: --input" in err
