"""torch's own attention on the screen: what a reader wants of it, with the shapes that torch itself gives."""

import re

import pytest
import torch
from torch import nn

import vit_trace
from vit_trace.view.outline import outline

TOKENS = torch.zeros(2, 5, 8)


class Holds(nn.Module):
    """Attention of one module, called in one of the ways torch offers."""

    def __init__(self, weights: bool = False, memory: int = 8, **options: object) -> None:
        super().__init__()
        self.weights, self.memory = weights, torch.zeros(2, 7, memory)
        self.mha = nn.MultiheadAttention(8, 2, kdim=memory, vdim=memory, batch_first=True, **options)

    def forward(self, x):
        memory = x if self.memory.shape[-1] == 8 else self.memory
        return self.mha(x, memory, memory, need_weights=self.weights)[0]


def rows(model, *inputs, **how):
    return outline(vit_trace.trace(model, *inputs), **how).rows


CASES = {
    "fused": ({}, "input linear heads-split attention-(sdpa) linear output"),
    "weights": ({"weights": True}, "input linear heads-split * bmm softmax bmm linear mean output"),
    "other keys": ({"memory": 6}, "input linear linear heads-split attention-(sdpa) linear output"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_reader_wants(name):
    options, wanted = CASES[name]
    found = [row for row in rows(Holds(**options), TOKENS) if not row.heading]
    assert " ".join(re.sub(r" \d.*", "", row.operation).replace(" ", "-") for row in found) == wanted
    heads = next(row for row in found if row.operation == "heads split")
    assert heads.shapes[0].shape[-1] == 4, "a head has 8 ÷ 2 features"
    result = [row for row in found if row.operation == "linear"][-1]
    assert result.shapes[0].shape == tuple(Holds(**options)(TOKENS).shape)


@pytest.mark.parametrize("options", [options for options, _ in CASES.values()], ids=CASES)
def test_the_rows_add_up_to_the_totals(options):
    trace = vit_trace.trace(Holds(**options), TOKENS)
    found = outline(trace)
    assert sum(row.flops for row in found.rows) == trace.totals.flops > 0
    assert sum(row.parameters for row in found.rows) == trace.totals.parameters > 0


def test_levels_and_no_fold_show_all_of_it():
    trace = vit_trace.trace(Holds(), TOKENS)
    stages = trace.totals.stages - 1  # without the model itself
    assert len(outline(trace, fold=False).rows) == stages
    assert len(outline(trace).rows) < 10 < len(outline(trace, levels=9).rows)


def test_a_stage_that_failed_is_never_left_out():
    model = Holds()
    model.mha.in_proj_bias = nn.Parameter(torch.zeros(3))
    trace = vit_trace.trace(model, TOKENS)
    assert trace.failure and [row for row in outline(trace).rows if row.failed]


class MultiheadAttention(nn.Module):
    """Somebody's own, of the same name."""

    def forward(self, x):
        return x.view(2, 5, 2, 4).transpose(1, 2).transpose(1, 2).reshape(2, 5, 8) * 2


def test_other_peoples_attention_stays_as_it_is():
    found = [row.operation for row in rows(nn.Sequential(MultiheadAttention()), TOKENS)]
    assert {"view", "transpose", "reshape"} <= set(found)
