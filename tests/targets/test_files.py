"""A file or a module without a name: what is in it is listed, its only model is taken, and what trains is not run."""

import pytest
from helpers.commands import process
from helpers.targets import library_target

from vit_trace.base.refused import Refused
from vit_trace.diagnose.diagnose import diagnosed

NET = """
from dataclasses import dataclass
from torch import nn

@dataclass
class Config:
    dim: int = 8

class Net(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.layer = nn.Conv2d(3, dim, 3)
    def forward(self, x):
        return self.layer(x)
"""
SEVERAL = (
    NET
    + """
class Whole(Net):
    def __init__(self, dim, *, heads):
        super().__init__(dim)
        self.net = Net(dim)

def build(dim=4):
    return Whole(dim, heads=2)

def _hidden():
    return Whole(4, heads=2)

def count(model):
    return sum(one.numel() for one in model.parameters())

model = Net()
"""
)
TRAINING = NET + "import torch\nmodel = Net()\n"


def _refusal(spec):
    with pytest.raises(Refused) as refused:
        library_target(spec)
    (found,) = refused.value.diagnostics
    return found


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("spec", ["only_net.py", "only_net"])
def test_the_only_module_class_of_a_file_or_module_is_taken(here, spec):
    (here / "only_net.py").write_text(NET)
    target = library_target(spec)
    assert (target.spec, target.class_name) == (f"{spec}:Net", "Net")


def test_what_a_file_defines_is_listed_the_whole_model_first(here):
    (here / "several_nets.py").write_text(SEVERAL)
    found = _refusal("several_nets.py")
    assert found.code == "no-factory"
    assert found.notes == (
        "classes: Whole(dim, heads), Net(), Config",
        "functions: build(), count(model)",
        "models made on import: model",
    )
    assert found.help[0] == "vit-trace several_nets.py:build", "it needs nothing"
    assert "vit-trace several_nets.py:Whole" in found.help and not any(one.endswith(":Net") for one in found.help)


@pytest.mark.parametrize(
    "lines",
    [
        "for step in range(9):\n    model(torch.ones(1, 3, 8, 8)).sum().backward()\n",
        "def main():\n    loss = model(torch.ones(1, 3, 8, 8)).sum()\n    torch.autograd.backward(loss)\nmain()\n",
        "for batch in torch.utils.data.DataLoader([1, 2]):\n    print(batch)\n",
    ],
    ids=["loop", "function", "loader"],
)
def test_what_trains_on_import_is_ended_and_left_as_it_was(here, lines):
    import torch

    (here / "training_net.py").write_text(TRAINING + lines)
    found = _refusal("training_net.py:model")
    assert (found.code, found.span.line > 16) == ("trains-on-import", True)
    assert found.help[0].startswith("vit-trace run --first training_net.py")
    one = torch.ones(2, requires_grad=True)
    one.sum().backward()
    assert one.grad is not None and len(list(torch.utils.data.DataLoader([1, 2]))) == 2


def test_a_script_that_reads_its_arguments_gets_none_of_ours(here):
    (here / "parsing_net.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('data')\np.parse_args()\n"
    )
    found = _refusal("parsing_net.py:model")
    assert found.code == "import-failed" and found.help[0].startswith("it is a script: vit-trace run parsing_net.py")


def test_a_model_that_was_made_on_import_gets_formulas_for_its_batch(here):
    (here / "made_net.py").write_text(
        TRAINING.replace("nn.Conv2d(3, dim, 3)", "nn.Sequential(nn.Flatten(), nn.Linear(3 * 224**2, 5))")
    )
    target = library_target("made_net.py:model")
    trace = diagnosed(target)
    assert trace.outputs[0].dims[0] == "b" and trace.target.device == "meta"
    assert any("made already" in one.message and one.help for one in trace.diagnostics)
    import sys

    assert not any(one.is_meta for one in sys.modules["made_net"].model.parameters()), "theirs stays as it is"


SPINS = """
def spin():
    count = 0
    while True:
        count += 1
"""


@pytest.mark.parametrize("call", ["spin()", "spin()\nimport torch", "[count for count in iter(int, 1)]"])
def test_a_loop_without_end_in_what_an_import_calls(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spins_beside.py").write_text(SPINS + call)
    (tmp_path / "spins.py").write_text(f"import spins_beside\n{NET}")
    done = process("spins.py:Net", "--limit", "lines=200000")
    assert done.returncode == 2 and done.stderr.count("error[over-limit]") == 1 and "Traceback" not in done.stderr
