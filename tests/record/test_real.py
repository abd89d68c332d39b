"""Single steps: meta and a real CPU run agree on whether a call fails, on what is raised, on shapes and dtypes."""

import os
import re
import subprocess
import sys

import pytest
import torch
from helpers.draws import Drawn
from helpers.single_steps import NAMES, step
from torch import nn
from torch.utils._pytree import tree_map_only

from vit_trace.record.meta.tensors import specs
from vit_trace.record.record import RecordOptions
from vit_trace.record.rungs import Runnable, trace_anyhow

QUICK, MANY = 400, int(os.environ.get("VIT_TRACE_STEPS", "2000"))
"""Steps of the default suite, and of the slow one; VIT_TRACE_STEPS=30000 takes all."""


class Step(nn.Module):
    """A model of one call."""

    def __init__(self, call) -> None:
        super().__init__()
        self.call = call

    def forward(self, *given):
        return self.call(*given)


def facts(found):
    return [(one.shape, one.dtype) for one in found]


def without_values(text: str) -> str:
    """A message without the values of tensors: some print a whole one, some an index."""
    return re.sub(r"-?\d+\.\d+(e[+-]\d+)?|(?<=index )-?\d+(?= is out of bounds)", "…", text)


def disagreement(seed: int) -> str:
    """How the trace differs from the real run of one drawn call; "" where it does not."""
    name, function, given = step(seed)
    torch.manual_seed(seed)
    real, meta = (tree_map_only(Drawn, lambda one, at=at: one.make(at), given) for at in ("cpu", "meta"))
    with torch.no_grad():
        try:
            expected, raised = facts(specs(function(*real))), None
        except Exception as error:
            expected, raised = None, error
    if isinstance(raised, torch.linalg.LinAlgError):  # values decide
        return ""
    trace, _ = trace_anyhow(Runnable(Step(function), lambda: Step(function)), lambda: (meta, {}), RecordOptions())
    said = trace.failure.exception if trace.failure is not None else ""
    if raised is None:
        wrong = said or (facts(trace.outputs) != expected and f"{facts(trace.outputs)}, not {expected}")
    else:
        theirs = f"{type(raised).__name__}: {str(raised).strip()}"
        wrong = "" if without_values(said) == without_values(theirs) else f"{said or 'runs'}, not {raised!r}"
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


LARGE = {
    "sum": (torch.add, (64, 196, 768), (1, 65, 768)),
    "sum in place": (torch.Tensor.add_, (64, 196, 768), (1, 65, 768)),
    "product": (torch.matmul, (64, 12, 196, 64), (64, 12, 196, 64)),
    "matrix": (torch.matmul, (64, 196, 768), (700, 768)),
    "linear": (nn.functional.linear, (64, 196, 768), (10, 700)),
    "convolution": (nn.functional.conv2d, (64, 3, 224, 224), (768, 1, 16, 16)),
    "cat": (lambda one, two: torch.cat([one, two], 1), (64, 196, 768), (64, 1, 384)),
    "norm": (lambda x, w: nn.functional.layer_norm(x, w.shape, w), (64, 196, 768), (384,)),
    "mask": (
        lambda q, mask: nn.functional.scaled_dot_product_attention(q, q, q, mask),
        (8, 12, 196, 64),
        (8, 196, 196),
    ),
    "expand": (lambda x, _: x.expand(64, 196), (64, 196, 768), (1,)),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_call_is_refused_in_the_words_of_a_real_run(name):
    function, *shapes = LARGE[name]
    with pytest.raises(RuntimeError) as raised:
        function(*(torch.empty(shape) for shape in shapes))
    given = tuple(torch.empty(shape, device="meta") for shape in shapes)
    trace, _ = trace_anyhow(Runnable(Step(function), lambda: Step(function)), lambda: (given, {}), RecordOptions())
    assert trace.failure.exception == f"RuntimeError: {raised.value}"


WIDE_GRU = """
from torch import nn

class Scan(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.embed, self.gru = nn.Conv2d(3, dim, 8, 8), nn.GRU(dim, dim, batch_first=True)

    def forward(self, x):
        x = self.embed(x).flatten(2).mT
        return self.gru(x)[0] + self.gru(x.flip(1))[0].flip(1)
"""


def test_a_wide_recurrent_layer_is_not_tried_with_cut_weights(tmp_path):
    """torch's gru does not check the sizes of its weights, and ends the process where they do not fit."""
    (tmp_path / "scan.py").write_text(WIDE_GRU)
    command = [sys.executable, "-m", "vit_trace", f"{tmp_path}/scan.py:Scan", "--input", "x=2x3x32x32"]
    assert subprocess.run(command, capture_output=True).returncode == 0
