"""A stage says what made each of its inputs: a stage, a parameter, or that it was not seen."""

import torch
from torch import nn

import vit_trace


class _Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.up = nn.Linear(8, 16)
        self.scale = nn.Parameter(torch.ones(16))
        self.down = nn.Linear(16, 8)
        self.drop = nn.Dropout(0.5)

    def forward(self, x, mask=None):
        h = self.norm(x)
        h = self.up(h) * self.scale
        gate, value = h.chunk(2, dim=-1)
        h = torch.cat([gate, value, torch.zeros(2, 3, 0)], dim=-1)
        return x + self.drop(self.down(h)), {"gate": gate.detach()}


def _edges(trace):
    """name -> what fed each of its inputs, by name."""
    names = {index: stage.name for index, stage in enumerate(trace.stages)}
    return {stage.name: [names.get(one, one) for one in stage.fed_by] for stage in trace.stages}


def test_each_input_of_a_block_has_its_maker():
    edges = _edges(vit_trace.trace(_Block(), torch.zeros(2, 3, 8)))
    assert edges["norm"] == ["x"]
    assert edges["up"] == ["norm"]
    assert edges["h"] == ["up", "scale"]
    assert edges["gate, value"] == ["h"]
    assert edges["h#2"] == ["gate, value", "gate, value", "zeros"]
    assert edges["down"] == ["h#2"]
    assert edges["add"] == ["x", "drop"]
    assert edges["output"] == ["add", "gate, value"]


def test_there_is_one_for_each_input():
    for stage in vit_trace.trace("timm:vit_tiny_patch16_224", depth=1, formulas=False).stages:
        assert len(stage.fed_by) == (len(stage.outputs) if stage.kind == "output" else len(stage.inputs))
        assert all(one < stage.index for one in stage.fed_by if isinstance(one, int))
        assert None not in stage.fed_by
