"""Modules that do unusual things: what they run is recorded truly, and they are left as they were."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from conftest import model_state
from torch import nn

import vit_trace


def told(trace) -> list[tuple[str, str, list[tuple[int, ...]]]]:
    """(name, operation, output shapes) of each stage between input and output."""
    inner = [stage for stage in trace.stages if stage.kind not in ("input", "output")]
    return [(stage.name, stage.operation, [spec.shape for spec in stage.outputs]) for stage in inner]


def traced(model: nn.Module, *inputs: object) -> vit_trace.Trace:
    """The trace, which has to add up, survive JSON and leave the model as it was."""
    before = model_state(model)
    trace = vit_trace.trace(model, *inputs)
    assert model_state(model) == before
    assert sum(stage.parameters for stage in trace.stages) == trace.totals.parameters
    assert vit_trace.Trace.from_json(trace.to_json()) == trace
    return trace


class Attributes(nn.Module):
    def forward(self, x):
        k = x.mT
        dots = x @ x.T
        spectrum = torch.fft.rfft(x)
        return k, dots, spectrum.real, spectrum.mH, x.real, x.data


def test_attributes_that_are_another_tensor_are_steps():
    assert told(traced(Attributes(), torch.ones(2, 4)))[1:] == [
        ("k", "mT", [(4, 2)]),
        ("T", "T", [(4, 2)]),
        ("dots", "matmul", [(2, 2)]),
        ("spectrum", "fft_rfft", [(2, 3)]),
        ("real", "real", [(2, 3)]),
        ("mH", "mH", [(3, 2)]),
    ]


def test_a_forward_set_on_the_instance_is_looked_into():
    layer = nn.Linear(3, 3)
    layer.forward = lambda x: F.linear(x, layer.weight) + 1
    assert [operation for _, operation, _ in told(traced(layer, torch.ones(2, 3)))] == ["Linear", "linear", "add"]


def test_steps_inside_torch_are_named_by_their_caller():
    """F.relu and Tensor.unflatten hand themselves on by torch.overrides, whose variable `result` is no name."""
    trace = traced(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), torch.ones(2, 3, 4))
    assert not any("result" in stage.name for stage in trace.stages)
    relu = next(stage for stage in trace.stages if stage.operation == "relu")
    assert relu.source.text == "self.activation(self.linear1(x))"


def test_lazy_parameters_are_counted_once_they_have_a_shape():
    trace = vit_trace.trace(nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d()), torch.ones(2, 3))
    assert [stage.parameters for stage in trace.stages if stage.kind == "module"] == [0, 20, 10]
    assert trace.totals.parameters == 30


class Copies(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        self.kept = copy.deepcopy(self.layer)
        return self.kept(x) + copy.copy(self.layer)(x) + self.layer(x)


def test_copies_made_in_a_forward_carry_no_hooks_of_ours():
    model = Copies()
    handle = model.layer.register_forward_hook(lambda module, args, output: None)
    trace = vit_trace.trace(model, torch.ones(2, 3))
    assert [operation for _, operation, _ in told(trace)] == ["Copies", "linear", "linear", "add", "Linear", "add"]
    assert len(model.kept._forward_hooks) == 1 and not model.kept._forward_pre_hooks
    handle.remove()


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x) + 1


@pytest.mark.parametrize("how", [torch.jit.script, lambda model: torch.jit.trace(model, torch.ones(3, 4))])
@pytest.mark.parametrize("root", [True, False])
def test_scripted_modules_are_one_stage(how, root):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = how(Inner()) if root else nn.Sequential(how(Inner()), nn.Linear(4, 2))
    model.train()
    stages = told(traced(model, torch.ones(3, 4)))
    assert [shapes for _, _, shapes in stages] == ([[(3, 4)]] if root else [[(3, 2)], [(3, 4)], [(3, 2)]])


@pytest.fixture(scope="module")
def compiler():
    """The first call of a compiled model changes nn.Module for good: that is torch's own doing."""
    with torch.compiler.set_stance("force_eager"):
        torch.compile(nn.ReLU(), backend="eager")(torch.ones(1))


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("how", ["torch.compile", "in place"])
def test_a_compiled_model_runs_as_it_was_written(how):
    model = nn.Sequential(Inner(), nn.ReLU())
    if how == "in place":
        model.compile(fullgraph=True, backend="eager")
    else:
        model = torch.compile(model, fullgraph=True, backend="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stages = told(traced(model, torch.ones(3, 4)))
    assert [operation for _, operation, _ in stages][-5:] == ["Sequential", "Inner", "Linear", "add", "ReLU"]


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.frozen, self.free = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3)).eval(), nn.BatchNorm1d(3)

    def forward(self, x):
        return self.free(self.frozen(x))


def test_mixed_modes_and_statistics_come_back():
    model = Mixed()
    values = copy.deepcopy(model.state_dict())
    traced(model, torch.randn(2, 3))
    assert model.training and model.free.training and not model.frozen[1].training
    assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())


def test_hooks_of_the_users_own_run_and_stay():
    layer, seen = nn.Linear(3, 3), []
    layer.register_forward_pre_hook(lambda module, args: (args[0][:1],))
    layer.register_forward_hook(lambda module, args, output: seen.append(args[0].shape) or output[None])
    trace = traced(nn.Sequential(layer), torch.ones(2, 3))
    assert trace.outputs[0].shape == (1, 1, 3) and seen == [(1, 3)]
