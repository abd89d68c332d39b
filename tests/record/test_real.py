"""Single steps: meta and a real CPU run agree on whether a call fails, on what is raised, on shapes and dtypes."""

import pytest
import torch
from helpers.single_steps import NAMES, Drawn, step
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map_only

from vit_trace.record.record import record

QUICK, MANY = 1_500, 30_000


class Step(nn.Module):
    """A model of one call."""

    def __init__(self, call) -> None:
        super().__init__()
        self.call = call

    def forward(self, *given):
        self.out = self.call(*given)
        return self.out


def facts(value):
    return [(tuple(one.shape), one.dtype) for one in tree_leaves(value) if isinstance(one, torch.Tensor)]


def disagreement(seed: int) -> str:
    """How the trace differs from the real run of one drawn call; "" where it does not."""
    name, function, given = step(seed)
    torch.manual_seed(seed)
    real, meta = (tree_map_only(Drawn, lambda one, at=at: one.make(at), given) for at in ("cpu", "meta"))
    with torch.no_grad():
        try:
            expected, raised = facts(function(*real)), None
        except Exception as error:
            expected, raised = None, error
    model = Step(function)
    trace = record(model, meta)
    said = trace.failure.exception if trace.failure is not None else ""
    if raised is None:
        wrong = said or (facts(model.out) != expected and f"{facts(model.out)}, not {expected}")
    else:
        wrong = "" if said.startswith(type(raised).__name__) else f"{said or 'runs'}, not {raised!r}"
    return f"{seed} {name} {given}: {wrong}" if wrong else ""


def test_at_least_150_functions_are_drawn():
    assert len({name.split(" ")[0] for name in NAMES}) >= 150


@pytest.mark.filterwarnings("ignore")
def test_meta_and_a_real_run_agree_on_single_steps():
    assert [found for seed in range(QUICK) if (found := disagreement(seed))] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_meta_and_a_real_run_agree_on_many_single_steps():
    assert [found for seed in range(QUICK, QUICK + MANY) if (found := disagreement(seed))] == []
