"""Random small models with one size broken somewhere: always a diagnostic, at the layer that plain hooks say failed."""

import pytest
import torch
import torch.nn.functional as F
from conftest import model_state
from einops import rearrange
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import vit_trace
from vit_trace.codes.registry import MEANINGS as CODES
from vit_trace.diagnose.failure import explained
from vit_trace.diagnose.trials import case_of_model
from vit_trace.record.raised.failure import DEFECT
from vit_trace.record.record import record

WIDTHS = st.sampled_from([2, 3, 4, 6, 8, 12])


class Add(nn.Module):
    """x + a parameter: a position embedding of some number of tokens and some width."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.pos = nn.Parameter(torch.zeros(1, tokens, width))

    def forward(self, x):
        return x + self.pos


class Heads(nn.Module):
    """Splits the width into heads and joins it again."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, x):
        b, n, d = x.shape
        return x.reshape(b, n, self.heads, d // self.heads).transpose(1, 2).transpose(1, 2).reshape(b, n, d)


class Cat(nn.Module):
    """A class token in front."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.zeros(1, 1, width))

    def forward(self, x):
        return torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1)


@st.composite
def broken(draw) -> tuple[nn.Module, torch.Tensor]:
    """A sequential model on tokens, and one layer of it built for a wrong size."""
    tokens, width = draw(st.integers(2, 5)), draw(WIDTHS)
    x = torch.zeros(draw(st.integers(1, 3)), tokens, width)
    layers: list[nn.Module] = []
    count = draw(st.integers(1, 8))
    at = draw(st.integers(0, count - 1))
    for place in range(count):
        wrong = 1 if place == at else 0
        kind = draw(st.sampled_from(["linear", "norm", "add", "heads", "cat", "act", "mlp"]))
        if kind == "linear":
            out = draw(WIDTHS)
            layers.append(nn.Linear(width + wrong, out))
            width = out
        elif kind == "norm":
            layers.append(nn.LayerNorm(width + wrong))
        elif kind == "add":
            layers.append(Add(tokens, width + wrong if width > 1 else 3))
        elif kind == "heads":
            fitting = [heads for heads in (1, 2, 3) if width % heads == 0]
            layers.append(Heads(width + 1 if wrong else draw(st.sampled_from(fitting))))
        elif kind == "cat":
            layers.append(Cat(width + wrong))
            tokens += 1
        elif kind == "act":
            layers.append(nn.GELU())
        else:
            inner = draw(WIDTHS)
            layers.append(nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner + wrong, width)))
    return nn.Sequential(*layers), x


def truth(model: nn.Module, x: torch.Tensor) -> str | None:
    """The path of the innermost module whose forward was entered and not left, by plain hooks; None if all is well."""
    inside: list[str] = []
    handles = []
    for path, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda _m, _i, path=path: inside.append(path)))
        handles.append(module.register_forward_hook(lambda _m, _i, _o: inside.pop() and None))
    try:
        with torch.no_grad():
            model(x)
    except Exception:
        return inside[-1]
    finally:
        for handle in handles:
            handle.remove()
    return None


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(broken(), st.booleans())
def test_random_models_with_one_broken_size(case, on_meta):
    model, x = case
    expected = truth(model, x)
    if on_meta:
        model, x = model.to("meta"), x.to("meta")
    before = model_state(model)
    trace = record(model, (x,))
    assert (trace.failure is None) == (expected is None)
    if trace.failure is None:
        return
    trace = explained(trace, case_of_model(model, (x,), {}))  # not through vit_trace.trace, which would hide our own
    failure = trace.failure
    assert trace.stages[failure.stage].module == expected
    assert failure.code in CODES and failure.code not in ("forward-failed", "internal-defect"), failure.message
    assert failure.operands and failure.message
    assert model_state(model) == before
    assert trace.to_json()


def test_the_oracle_can_fail():
    """The hooks see a fault that is planted."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(4, 2)))
    assert truth(model, torch.zeros(1, 2)) == "1.0"
    assert truth(nn.Sequential(nn.Linear(2, 2)), torch.zeros(1, 2)) is None


def test_a_defect_of_ours_is_no_failure_of_the_model(monkeypatch):
    from vit_trace.record import recorder

    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    monkeypatch.setattr(recorder.frames, "find_site", "no function")
    failure = vit_trace.trace(model, torch.zeros(1, 2)).failure
    assert failure.code == "internal-defect" and failure.severity == "error" and "not callable" in failure.exception
    assert not failure.remedies and any("find_site" in line for line in failure.traceback)


def test_an_explanation_that_breaks_leaves_the_bare_failure(monkeypatch):
    from vit_trace.diagnose import failure as module

    monkeypatch.setattr(module, "cause_of", lambda scene: 1 / 0)
    failure = vit_trace.trace(nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 2)), torch.zeros(1, 2)).failure
    assert failure.code == "forward-failed" and "please report" in failure.notes[-1]


@pytest.mark.parametrize("arguments", [["--traceback"], []])
def test_traceback_only_on_request(arguments, capsys):
    from vit_trace.cli import app as cli

    assert cli.run(["--depth", "1", "--input", "2x3x288x288", *arguments]) == 1
    assert ("Traceback (most recent call last)" in capsys.readouterr().err) == bool(arguments)


OPERATIONS = {
    "add": lambda x, y, n: x + y,
    "matmul": lambda x, y, n: x @ y,
    "bmm": lambda x, y, n: torch.bmm(x, y),
    "cat": lambda x, y, n: torch.cat([x, y], n),
    "stack": lambda x, y, n: torch.stack([x, y], n),
    "cat of none": lambda x, y, n: torch.cat([], n),
    "view": lambda x, y, n: x.view(n, -1, 3),
    "reshape": lambda x, y, n: x.reshape(3, n),
    "expand": lambda x, y, n: x.expand(n, 3, -1),
    "permute": lambda x, y, n: x.permute(0, n, 1),
    "transpose": lambda x, y, n: x.transpose(n, -1).view(-1),
    "mean": lambda x, y, n: x.mean(n) + x.softmax(n),
    "getitem": lambda x, y, n: x[:, n] + x[..., None, 0],
    "mask": lambda x, y, n: x[y > 0],
    "index": lambda x, y, n: x[:, y.long() + n],
    "setitem": lambda x, y, n: x.clone().__setitem__((slice(None), n), y),
    "gather": lambda x, y, n: x.gather(n, y.long()),
    "scatter": lambda x, y, n: x.scatter(n, y.long(), y),
    "select": lambda x, y, n: x.select(n, n) + x.narrow(n, 0, 3),
    "topk": lambda x, y, n: x.topk(n)[0],
    "chunk": lambda x, y, n: x.chunk(n, 1)[2],
    "split": lambda x, y, n: x.split([n, 2], -1),
    "unpack": lambda x, y, n: (lambda a, b, c: a)(*x.shape),
    "linear": lambda x, y, n: F.linear(x, y),
    "norm": lambda x, y, n: F.layer_norm(x, (n,)),
    "group norm": lambda x, y, n: F.group_norm(x, n),
    "batch norm": lambda x, y, n: F.batch_norm(x, y, y),
    "conv": lambda x, y, n: F.conv2d(x, y, stride=n),
    "conv transpose": lambda x, y, n: F.conv_transpose1d(x, y),
    "attention": lambda x, y, n: F.scaled_dot_product_attention(x, y, x, attn_mask=y),
    "embedding": lambda x, y, n: F.embedding(x.long() + n, y),
    "einsum": lambda x, y, n: torch.einsum("bnc,bmc->bnm", x, y),
    "rearrange": lambda x, y, n: rearrange(x, "b (h d) c -> b h d c", h=n),
    "pattern": lambda x, y, n: rearrange(x, "b n b -> n b"),
    "division": lambda x, y, n: x * (1 // n),
    "list": lambda x, y, n: [x, y][n],
    "one hot": lambda x, y, n: F.one_hot(x.long(), n),
    "loss": lambda x, y, n: F.cross_entropy(x, y),
}


class Step(nn.Module):
    """One operation on the input and a parameter of some other shape."""

    def __init__(self, name: str, shape: tuple[int, ...], number: int) -> None:
        super().__init__()
        self.name, self.number = name, number
        self.other = nn.Parameter(torch.zeros(shape))

    def forward(self, x):
        return OPERATIONS[self.name](x, self.other, self.number)


SHAPES = st.lists(st.integers(0, 4), max_size=5).map(tuple)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(OPERATIONS)), SHAPES, SHAPES, st.integers(-2, 4), st.booleans())
def test_whatever_a_step_is_given_its_failure_is_explained(name, given_shape, held_shape, number, on_meta):
    model, x = Step(name, held_shape, number).eval(), torch.zeros(given_shape)
    if on_meta:
        model, x = model.to("meta"), x.to("meta")
    failure = vit_trace.trace(model, x).failure
    if failure is None:
        return
    assert failure.code in CODES and failure.code != DEFECT, failure.exception
    assert not any("could not work out" in note for note in failure.notes), (failure.exception, failure.notes)
