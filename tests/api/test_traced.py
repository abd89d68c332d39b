"""A trace in a program's hands: what its methods give, against torch and the command line."""

import io
import json
import pickle
import subprocess
import sys

import pytest
import torch
from helpers.commands import call
from helpers.places import ROOT
from rich.console import Console
from torch import nn

import vit_trace

SPEC = ("--depth", "2", "--dim", "64", "--heads", "4", "--dim-head", "16", "--mlp-dim", "96")
SETTINGS = {"depth": 2, "dim": 64, "heads": 4, "dim_head": 16, "mlp_dim": 96}


class Net(nn.Module):
    """Patches, a class token and a layer, for images of any size."""

    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(3, 24, 8, 8)
        self.cls = nn.Parameter(torch.zeros(1, 1, 24))
        self.layer = nn.TransformerEncoderLayer(24, 4, 32, batch_first=True)
        self.head = nn.Linear(24, 5)

    def features(self, x):
        x = self.cut(x).flatten(2).transpose(1, 2)
        return self.layer(torch.cat([self.cls.expand(len(x), -1, -1), x], 1))

    def forward(self, x):
        return self.head(self.features(x)[:, 0])


@pytest.fixture(scope="module")
def trace():
    return vit_trace.trace(Net(), torch.zeros(2, 3, 64, 96))


def test_stages_by_name(trace):
    assert trace["layer"].shape == (2, 97, 24) and trace["layer"].formula == "b × n + 1 × 24"
    assert trace["layer.linear1"].parent == trace["layer"] and trace["layer.linear1"] in trace["layer"].children
    assert [one.name for one in trace.find("layer.norm*")] == ["layer.norm1", "layer.norm2"]
    assert trace.find("Conv2d") == [trace["cut"]] and trace["cut"].input_shapes == [(2, 3, 64, 96)]
    assert len(trace) == len(list(trace)) == len(trace.stages)
    assert repr(trace["head"]) == "<head  Linear  2×5  b × 5>"
    with pytest.raises(KeyError, match="no stage is named hed; near it: head"):
        trace["hed"]


@pytest.mark.parametrize("image", [(5, 3, 64, 96), (4, 3, 128, 64), (3, 3, 200, 104)])
def test_sizes_at_other_images_are_those_of_a_real_forward(trace, image):
    there = trace.at(b=image[0], H=image[2], W=image[3])
    real = vit_trace.trace(Net(), torch.zeros(image), formulas=False)
    compared = 0
    for stage, other in zip(there, real, strict=True):
        for spec, shape in zip(stage.record.outputs, other.shapes, strict=True):
            compared += sum(dim == size for dim, size in zip(spec.shape, shape, strict=True))
            assert all(size in (None, -1, real) for size, real in zip(spec.shape, shape, strict=True))
    assert compared > 60


def test_without_formulas_nothing_runs_twice():
    ran = []

    class Counts(nn.Module):
        def forward(self, x):
            ran.append(x.device.type)
            return x.mean((2, 3))

    vit_trace.trace(Counts(), torch.zeros(2, 3, 32, 32), formulas=False)
    assert ran.count("cpu") == 1


@pytest.mark.parametrize("channels", [3, 4])
def test_what_a_forward_prints_is_seen_once_and_the_network_stays_open(channels, capfd):
    class Prints(Net):
        def forward(self, x):
            print("here")
            return super().forward(x)

    vit_trace.trace(Prints(), torch.zeros(2, channels, 64, 64))
    assert capfd.readouterr().out == "here\n"
    refused = subprocess.run(
        [sys.executable, "-c", OPEN.format(channels)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert refused.stdout == "0\n"


OPEN = """
import socket, torch, vit_trace
from vit_trace.base.network import NoNetwork
vit_trace.trace(torch.nn.Conv2d(3, 8, 4), torch.zeros(1, {}, 9, 9))
vit_trace.trace("configs/vit_b_16.yaml", depth=1)
count = 0
try:
    socket.create_connection(("192.0.2.1", 9), timeout=0.1)
except NoNetwork:
    count += 1
except OSError:
    pass
print(count)
"""


def test_a_bound_method_is_traced_and_its_model_left_as_it_was():
    model = Net()
    found = vit_trace.trace(model.features, torch.zeros(2, 3, 32, 32))
    assert type(model) is Net and found.outputs[0].shape == (2, 17, 24)
    assert found.outputs[0].shape == tuple(model.features(torch.zeros(2, 3, 32, 32)).shape)
    with pytest.raises(TypeError, match="got dict"):
        vit_trace.trace({})


def test_a_spec_is_traced_as_on_the_command_line(capfd):
    found = vit_trace.trace("hf:ViTModel", image_size=(64, 96), num_hidden_layers=1)
    wanted = "--format json trace hf:ViTModel --image-size 64x96 --set num_hidden_layers=1".split()
    printed = json.loads(call(capfd, *wanted[2:], *wanted[:2]).out)
    assert [stage["outputs"] for stage in printed["stages"]] == [
        stage["outputs"] for stage in json.loads(found.to_json())["stages"]
    ]
    with pytest.raises(ValueError, match="no_such"):
        vit_trace.trace("hf:ViTModel", no_such=3)


def test_screens_are_those_of_the_command_line(trace, capfd, tmp_path):
    (tmp_path / "a.json").write_text(trace.to_json())
    for screen, flags in ((trace.table(levels=1), ["--levels", "1"]), (trace.tree(), ["--view", "tree"])):
        printed = call(capfd, "show", str(tmp_path / "a.json"), *flags, "--width", "100").out
        assert screen.to_text(100) == printed
    assert str(trace) == trace.table().to_text() and "b × n+1 × 24" in str(trace)


def test_a_screen_is_a_renderable_of_rich(trace):
    plain, coloured = io.StringIO(), io.StringIO()
    Console(file=plain, width=80, color_system=None).print(trace.table())
    Console(file=coloured, width=80, force_terminal=True, color_system="standard").print(trace.table())
    assert plain.getvalue().split() == trace.to_text(80).split()
    assert "\x1b[" in coloured.getvalue() and "\x1b[" not in plain.getvalue()


def test_explain(trace):
    assert str(trace.explain(97)).startswith("97 = n+1")
    assert "head" in str(trace.explain((2, 5)))
    with pytest.raises(ValueError, match="no size is 96001"):
        trace.explain(96001)


def test_traces_are_equal_and_pickled(trace):
    again = pickle.loads(pickle.dumps(trace))
    assert again == trace == vit_trace.Trace.from_json(trace.to_json()) and type(again) is vit_trace.Trace
    assert again != trace.at(b=3)
    assert repr(trace) == f"<Trace of Net: {len(trace)} stages, 2×3×64×96 → 2×5>"


def test_repr_of_a_failure_says_where():
    assert "at cut>" in repr(vit_trace.trace(Net(), torch.zeros(2, 4, 64, 64)))
