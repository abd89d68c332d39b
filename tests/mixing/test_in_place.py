"""Some steps give back what they were given, in place or not: what follows a tensor back ends all the same."""

import pytest
import torch
from torch import nn

import vit_trace


class Constant(nn.Module):
    """Gives the scores, and for each image queries that depend on no input."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Conv2d(3, 16, 4, 4), nn.Linear(16, 5)
        self.queries = nn.Parameter(torch.zeros(1, 16))

    def forward(self, x):
        queries = self.queries.expand(len(x), -1).clone()
        queries = nn.functional.dropout(queries.contiguous().float(), 0.1, self.training)
        return self.head(self.embed(x).flatten(2).mean(2)), queries


class Turned(nn.Module):
    """Attends over the images of a batch, after steps that give back their tensor."""

    def __init__(self):
        super().__init__()
        self.embed, self.attn = nn.Conv2d(3, 16, 4, 4), nn.MultiheadAttention(16, 2)

    def forward(self, x):
        tokens = self.embed(x).flatten(2).transpose(1, 2).contiguous()
        tokens = nn.functional.dropout(tokens.contiguous().float().add_(1.0), 0.1, self.training)
        return self.attn(tokens, tokens, tokens)[0].mean(1)


@pytest.mark.parametrize(("kind", "codes"), [(Constant, set()), (Turned, {"attention-over-batch"})])
def test_steps_that_give_back_their_tensor(kind, codes):
    trace = vit_trace.trace(kind(), torch.zeros(2, 3, 32, 32))
    assert {one.code for one in trace.diagnostics if one.severity == "warning"} == codes
