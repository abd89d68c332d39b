"""The ladder: each model is built and run on the first rung that can; and what made each tensor."""

import gc
import sys
import weakref
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

import vit_trace
from vit_trace.record.build.anyhow import BUILD_RUNGS, NotAModel, build_anyhow
from vit_trace.record.record import RecordOptions, record
from vit_trace.record.rungs import RUNGS, Runnable, trace_anyhow
from vit_trace.record.source.frames import LIBRARY, OWN, entries, owner
from vit_trace.record.source.makers import Maker, Makers


class Reads(nn.Module):
    """A constructor that needs the value of a tensor made by `how`."""

    def __init__(self, how):
        super().__init__()
        self.layer = nn.Linear(4, int(how()))


@pytest.mark.parametrize(
    "factory, rung",
    [
        (lambda: nn.Linear(4, 3), 0),
        (lambda: Reads(lambda: torch.linspace(1, 3, 3)[-1]), 0),
        (lambda: Reads(lambda: torch.randint(3, 4, (1,))), 1),
    ],
)
def test_a_model_is_built_on_the_first_rung_that_can(factory, rung):
    built = build_anyhow(factory)
    assert built.rung is BUILD_RUNGS[rung]
    assert all(parameter.is_meta for parameter in built.model.parameters())


def test_what_no_rung_builds_raises_its_own_error():
    with pytest.raises(ZeroDivisionError):
        build_anyhow(lambda: 1 // 0)
    with pytest.raises(NotAModel, match="got int"):
        build_anyhow(lambda: 3)


class Fails(nn.Module):
    """A constructor that computes a number, and then raises."""

    made: ClassVar[list[weakref.ref]] = []

    def __init__(self, width=3):
        super().__init__()
        self.made.append(weakref.ref(self))
        self.width = 2 * width
        self.layer = nn.Linear(width, -1)


def test_a_failed_build_lets_go_of_what_it_built():
    """Without the collector of cycles: it comes too late for 60 builds of a large model."""
    gc.disable()
    try:
        build_anyhow(Fails)
    except RuntimeError:
        pass
    finally:
        gc.enable()
    assert len(Fails.made) == len(BUILD_RUNGS) - 1 and all(one() is None for one in Fails.made)


class Runs(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how
        self.register_buffer("steps", torch.randint(1, 2, (2,)))

    def forward(self, x, count):
        return x[:, : self.how(self, x, count)]


@pytest.mark.parametrize(
    "how, rung",
    [
        (lambda model, x, count: 2, 0),
        (lambda model, x, count: count.tolist()[0], 1),
        (lambda model, x, count: sum(model.steps.tolist()), 2),
        (lambda model, x, count: sum(x.round().long().tolist()[0]) * 0 + 2, 4),
    ],
)
def test_a_model_is_run_on_the_first_rung_that_can(how, rung):
    given = (torch.empty(3, 4, device="meta"), torch.tensor([2])), {}
    make = lambda: Runs(how)  # noqa: E731
    traced = trace_anyhow(Runnable(build_anyhow(make).model, make), lambda: given, RecordOptions())
    assert traced.rung is RUNGS[rung]
    assert traced.trace.outputs[0].shape == (3, 2)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x.detach()).data + self.scale


def test_the_makers_of_the_inputs_of_each_stage():
    makers = Makers()
    trace = record(Block(), (torch.zeros(2, 4),), None, RecordOptions(makers=makers))
    named = {stage.name.rpartition(".")[2] or stage.operation: makers.inputs.get(stage.index) for stage in trace.stages}
    layer = next(stage.index for stage in trace.stages if stage.name == "layer")
    assert named["layer"] == (Maker(0),)
    assert named["add"] == (Maker(layer, None), Maker("scale"))


def test_a_traceback_is_walked_below_a_frame():
    def outer():
        return inner()

    def inner():
        raise ValueError

    try:
        outer()
    except ValueError as error:
        here, traceback = sys._getframe().f_code, error.__traceback__
    names = [frame.f_code.co_name for frame, _ in entries(traceback)]
    assert names == [here.co_name, "outer", "inner"]
    assert [frame.f_code.co_name for frame, _ in entries(traceback, outer.__code__)] == ["inner"]
    assert len(entries(traceback, test_what_no_rung_builds_raises_its_own_error.__code__)) == 3


class ReadsIds(nn.Module):
    """Asks for a value, so that it runs on the second rung, and raises there."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(8, 8)

    def forward(self, x, ids):
        int(ids.max())
        return self.proj(x) @ torch.ones(3, 3)


def test_an_exception_of_the_model_on_a_rung_of_mixed_tensors_is_not_ours():
    with torch.device("meta"):
        model = ReadsIds()
    given = (torch.empty(2, 4, 8, device="meta"), torch.arange(4)), {}
    traced = trace_anyhow(Runnable(model, ReadsIds), lambda: given, RecordOptions())
    assert traced.rung is RUNGS[1]
    assert traced.trace.failure.code == "forward-failed"


def test_whose_file_a_file_is():
    package = Path(vit_trace.__file__).parent
    assert owner(str(package / "vit.py")) == OWN
    assert {owner(str(package / name)) for name in ("record/recorder.py", "cli/main.py", "probing/run.py")} == {LIBRARY}


def test_a_constructor_that_fails_alike_without_values_takes_no_memory():
    """A second failure in the same words is the model's own; a meta tensor's refusal is not."""
    devices = []

    def never(classes=-1):
        devices.append(torch.get_default_device().type)
        return nn.Linear(4, classes)

    with pytest.raises(RuntimeError, match="negative dimension -1"):
        build_anyhow(never)
    assert devices == ["meta", "cpu"]

    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.large = (torch.rand(9000).max() < 2).item()

    assert build_anyhow(Counts).model.large
