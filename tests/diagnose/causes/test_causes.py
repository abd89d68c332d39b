"""Failing calls as rows: the code each finder gives, and that no two of one turn answer; a cause that is new."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn, zeros

from vit_trace.codes import registry
from vit_trace.diagnose.cause import FINDERS, Cause, CauseKind, Registered, Turn, finds, found_causes
from vit_trace.diagnose.causes import cause_of
from vit_trace.diagnose.scene import Scene
from vit_trace.record.record import record


class Calls(nn.Module):
    """A model that makes one call."""

    def __init__(self, call) -> None:
        super().__init__()
        self.call = call

    def forward(self, *given):
        return self.call(*given)


def halves(x):
    first, _ = x.split(4, 1)
    return first


def height_and_width(x):
    height, _ = x.shape[1]
    return x[:, :height]


def sixth(x):
    features = [x, x]
    return features[5]


X = zeros(2, 9, 16)
ROWS = {
    "broadcast": (lambda x: x + zeros(2, 8, 16), X),
    "broadcast in place": (lambda x: x[:, :1].add_(x), X),
    "matmul": (lambda x: x @ zeros(8, 4), X),
    "matmul of einsum": (lambda x: torch.einsum("bij,bjk->bik", x, zeros(2, 8, 4)), X),
    "matmul of attention": (lambda x: F.scaled_dot_product_attention(x, zeros(2, 9, 8), x), X),
    "cat": (lambda x: torch.cat([x, zeros(2, 1, 8)], 1), X),
    "stack": (lambda x: torch.stack([x, zeros(2, 9, 8)]), X),
    "reshape": (lambda x: x.view(2, 9, 3, 6), X),
    "view": (lambda x: x.transpose(1, 2).view(2, -1), X),
    "split": (lambda x: x.split([4, 4], 1), X),
    "expand": (lambda x: x.expand(4, 9, 16), X),
    "permute": (lambda x: x.permute(0, 1, 1), X),
    "gather": (lambda x: x.gather(1, zeros(2, 9, 17, dtype=torch.int64)), X),
    "index": (lambda x: x[:, 9], X),
    "index of select": (lambda x: x.select(1, 11), X),
    "index of topk": (lambda x: x.topk(20), X),
    "index of embedding": (lambda ids: F.embedding(ids, zeros(4, 8)), torch.tensor([[0, 4]])),
    "index of a list": (sixth, X),
    "index of a class": (lambda ids: F.one_hot(ids, 3), torch.tensor([0, 3])),
    "wrong-rank of softmax": (lambda x: x.softmax(3), X),
    "wrong-rank of permute": (lambda x: x.permute(0, 2, 3, 1), X),
    "wrong-rank of gather": (lambda x: x.gather(1, zeros(2, 9, dtype=torch.int64)), X),
    "wrong-rank of a batch norm": (nn.BatchNorm2d(9), X),
    "linear": (nn.Linear(8, 8), X),
    "conv-channels": (nn.Conv2d(3, 8, 2), zeros(2, 4, 8, 8)),
    "kernel": (nn.Conv2d(3, 8, 16), zeros(2, 3, 8, 8)),
    "norm-size": (nn.LayerNorm(8), X),
    "dtype": (nn.Linear(16, 8), X.half()),
    "dtype before features": (nn.Linear(8, 8), X.half()),
    "dtype of a norm": (nn.LayerNorm(16), X.double()),
    "dtype of a batch norm": (nn.BatchNorm1d(9), X.double()),
    "norm-size of half precision": (nn.LayerNorm(8), X.half()),
    "dtype of an index": (lambda x: x.gather(1, x), X),
    "attention-mask": (lambda x: nn.MultiheadAttention(16, 2)(x, x, x, key_padding_mask=zeros(8, 9))[0], X),
    "chunk": (halves, X),
    "unpack": (height_and_width, X),
    "einops-rank": (lambda x: rearrange(x, "b c h w -> b h w c"), X),
    "einops-divide": (lambda x: rearrange(x, "b (n p) d -> b n p d", p=4), X),
    "einops-length": (lambda x: rearrange(x, "b (n p) d -> b n p d", p=4, n=2), X),
    "wrong-call of forward": (lambda x: nn.ReLU()(x, x), X),
    "wrong-call of a size": (lambda x: x.view(2, 9, 8.0, 2), X),
    "forward-failed": (lambda x: {}["b"], X),
}


def scene_of(call, *given) -> Scene:
    trace = record(call if isinstance(call, nn.Module) else Calls(call), given)
    assert trace.failure is not None, "it runs"
    return Scene(trace, trace.failure)


@pytest.mark.parametrize("name", ROWS)
def test_a_failing_call_has_this_code(name):
    assert cause_of(scene_of(*ROWS[name])).code == name.split()[0]


@pytest.mark.parametrize("name", ROWS)
def test_no_two_finders_of_one_turn_answer(name):
    scene = scene_of(*ROWS[name])
    cause_of(scene)
    turns = Counter(turn for turn, _ in found_causes(scene))
    assert max(turns.values()) == 1, list(found_causes(scene))


def test_the_order_in_which_files_are_imported_decides_nothing(monkeypatch):
    scenes = {name: scene_of(*row) for name, row in ROWS.items()}
    before = {name: cause_of(scene) for name, scene in scenes.items()}
    for call, entries in FINDERS.items():
        monkeypatch.setitem(FINDERS, call, entries[::-1])
    assert {name: cause_of(scene) for name, scene in scenes.items()} == before


@pytest.fixture
def registries(monkeypatch):
    monkeypatch.setattr(registry, "MEANINGS", dict(registry.MEANINGS))
    monkeypatch.setattr(registry, "AREA_OF", dict(registry.AREA_OF))
    cause_of(scene_of(*ROWS["broadcast"]))
    monkeypatch.setitem(FINDERS, "cumsum", [*FINDERS["cumsum"]])


def test_a_new_cause_is_a_kind_and_a_finder(registries):
    kind = CauseKind("no-running-sum", "cumsum over more axes than one.")

    @finds("cumsum", turn=Turn.EARLY)
    def summed(scene: Scene) -> Cause | None:
        return Cause(kind, "a running sum")

    assert FINDERS["cumsum"][-1] == Registered(Turn.EARLY, summed, ())
    assert registry.MEANINGS["no-running-sum"] == "cumsum over more axes than one."
    assert cause_of(scene_of(lambda x: x.cumsum(5), X)).code == "no-running-sum"


def test_a_code_has_one_kind(registries):
    with pytest.raises(ValueError, match="permute has two meanings"):
        CauseKind("permute", "Something else.")
