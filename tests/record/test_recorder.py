"""The recorder against real forward passes and against what is known of small models."""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import model_state
from einops import einsum as einops_einsum
from einops import pack, rearrange, reduce, repeat, unpack
from helpers.oracle import module_calls, traced_calls
from helpers.places import ROOT
from torch import Tensor, nn

import vit_trace
from vit_trace.config import ViTConfig
from vit_trace.probing.run import run_target
from vit_trace.record.record import RecordOptions, record
from vit_trace.record.source import frames
from vit_trace.targets.builtin import builtin
from vit_trace.vit import ViT

CONFIGS = {
    "reference": ViTConfig(),
    "not square": ViTConfig(image_size=(192, 320), patch_size=(16, 32), dim=64, depth=2, heads=4, mlp_dim=96),
    "one channel, mean": ViTConfig(image_size=(64, 64), channels=1, pool="mean", dim=32, depth=1, heads=2, mlp_dim=48),
    "one head": ViTConfig(image_size=(64, 64), heads=1, dim_head=64, dim=64, depth=2, mlp_dim=32),
    "deep": ViTConfig(image_size=(64, 64), dim=16, depth=100, heads=2, dim_head=4, mlp_dim=24, batch_size=1),
}


def real_model(config: ViTConfig) -> tuple[ViT, Tensor]:
    values = {name: getattr(config, name) for name in config.__struct_fields__ if name != "batch_size"}
    return ViT(**values), torch.zeros(config.batch_size, config.channels, *config.image_size)


@pytest.mark.parametrize("rules", [True, False], ids=["rules", "torch"])
@pytest.mark.parametrize("name", CONFIGS)
def test_builtin_module_shapes_equal_a_real_forward(name, rules):
    model, image = real_model(CONFIGS[name])
    trace = run_target(builtin(CONFIGS[name]), rules)
    assert trace.failure is None
    assert traced_calls(trace) == module_calls(model, image)
    assert trace.totals.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert sum(stage.parameters for stage in trace.stages) == trace.totals.parameters


REFERENCE_LAYER = [
    (5, 65, 1024),  # norm
    (5, 65, 3072),  # to_qkv
    *[(5, 65, 1024)] * 3,  # chunk
    *[(5, 16, 65, 64)] * 3,  # q, k, v
    (5, 16, 64, 65),  # k transposed
    *[(5, 16, 65, 65)] * 3,  # dots, scaled, softmax
    (5, 16, 65, 64),  # attn v
    (5, 65, 1024),  # heads side by side
    *[(5, 65, 1024)] * 2,  # to_out: linear, dropout
    (5, 65, 1024),  # + x
    (5, 65, 1024),  # norm
    *[(5, 65, 2048)] * 3,  # linear, GELU, dropout
    *[(5, 65, 1024)] * 2,  # linear, dropout
    (5, 65, 1024),  # + x
]


def steps(trace):
    """Shapes of the stages without stages inside, in order."""
    parents = {stage.parent for stage in trace.stages}
    return [spec.shape for s in trace.stages if s.index not in parents for spec in s.outputs]


def test_reference_listing():
    """Every shape of the hand-written listing, in order, for all six layers."""
    trace = run_target(builtin(ViTConfig()))
    assert steps(trace) == [
        (5, 3, 256, 256),
        (5, 64, 3072),
        (5, 64, 1024),
        (5, 1, 1024),
        *[(5, 65, 1024)] * 3,
        *REFERENCE_LAYER * 6,
        *[(5, 1024)] * 3,
        *[(5, 20)] * 2,
    ]
    assert trace.totals.parameters == 53_617_684
    values = {(record.module, record.name): record.value for record in trace.construction}
    assert values["", "num_patches"] == 64
    assert values["", "patch_dim"] == 3072
    assert values["", "image_height"] == values["", "image_width"] == 256
    assert values["", "patch_height"] == values["", "patch_width"] == 32
    assert values["transformer.layers.5.0.fn", "inner_dim"] == 1024
    shapes = {parameter.name: parameter.shape for parameter in trace.parameters}
    assert shapes["pos_embedding"] == (1, 65, 1024)
    assert shapes["cls_token"] == (1, 1, 1024)


def test_names_sources_and_patterns_of_the_builtin():
    trace = run_target(builtin(ViTConfig(depth=2)))
    stages = {stage.name: stage for stage in trace.stages}
    dots = stages["transformer.layers.1.0.fn.dots"]
    assert (dots.kind, dots.operation) == ("function", "matmul")
    assert dots.source.text == "torch.matmul(q, k.transpose(-1, -2))"
    line = Path(dots.source.file).read_text().splitlines()[dots.source.line - 1]
    assert line[dots.source.column : dots.source.end_column] == dots.source.text
    for name in "qkv":
        stage = stages[f"transformer.layers.0.0.fn.{name}"]
        assert (stage.kind, stage.pattern) == ("einops", "b n (h d) -> b h n d")
    assert stages["to_patch_embedding.0"].pattern == "b c (h p1) (w p2) -> b (h w) (p1 p2 c)"
    assert stages["cls_tokens"].outputs[0].shape == (5, 1, 1024)
    assert stages["x#2"].operation == "add_"
    assert stages["img"].kind == "input" and stages["output"].kind == "output"
    assert len(stages) == len(trace.stages), "names are unique"
    assert all(stage.index == place for place, stage in enumerate(trace.stages))
    assert all(stage.parent is None or stage.parent < stage.index for stage in trace.stages)


# -- small models, one feature each --------------------------------------------------------------------------------


class Twice(nn.Module):
    """A module called twice, and one known by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.alias = self.norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.alias(x))


def test_a_module_called_twice_is_two_stages_and_counted_once():
    trace = vit_trace.trace(Twice(), torch.zeros(2, 6))
    norms = [(stage.name, stage.module, stage.parameters) for stage in trace.stages if stage.operation == "LayerNorm"]
    assert norms == [("norm", "norm", 12), ("norm#2", "norm", 0)]
    assert trace.totals.parameters == 12


@dataclass
class Result:
    logits: Tensor
    pair: tuple[Tensor, Tensor]


class Nested(nn.Module):
    """Keyword arguments in, a dataclass with a tuple in it, a dict and None out."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor, *, mask: Tensor | None = None, scale: float = 1.0):
        y = self.head(x) * scale
        return {"result": Result(y, (x, mask)), "nothing": None, 7: [y]}


def test_nested_values_and_keyword_arguments():
    trace = vit_trace.trace(Nested(), torch.zeros(2, 4), mask=torch.ones(2, dtype=torch.bool), scale=2.0)
    assert [(s.name, s.outputs[0].shape, s.outputs[0].dtype) for s in trace.stages if s.kind == "input"] == [
        ("x", (2, 4), "float32"),
        ("mask", (2,), "bool"),
    ]
    assert {spec.path: spec.shape for spec in trace.outputs} == {
        "['result'].logits": (2, 3),
        "['result'].pair[0]": (2, 4),
        "['result'].pair[1]": (2,),
        "[7][0]": (2, 3),
    }
    root = next(stage for stage in trace.stages if stage.kind == "module")
    assert [spec.path for spec in root.inputs] == ["[0]", "mask"]


class Einops(nn.Module):
    """Every einops function, one that changes nothing, and a helper around one."""

    def forward(self, x: Tensor) -> Tensor:
        same = rearrange(x, "b n d -> b n d")
        pooled = reduce(same, "b n d -> b d", "mean")
        tokens = repeat(pooled, "b d -> b k d", k=3)
        packed, shapes = pack([x, tokens], "b * d")
        first, second = unpack(packed, shapes, "b * d")
        dots = einops_einsum(first, second, "b i d, b j d -> b i j")
        q, k = [self.split(t) for t in (first, second)]
        stacked = rearrange([q, q], "two b h n d -> two b (h d) n")
        return dots, stacked, k

    def split(self, t: Tensor) -> Tensor:
        return rearrange(t, "b n (h d) -> b h n d", h=2)


def test_einops_calls_are_single_stages():
    trace = vit_trace.trace(Einops(), torch.zeros(2, 5, 4))
    found = [(s.name, s.operation, [o.shape for o in s.outputs]) for s in trace.stages if s.kind == "einops"]
    assert found == [
        ("same", "rearrange", [(2, 5, 4)]),
        ("pooled", "reduce", [(2, 4)]),
        ("tokens", "repeat", [(2, 3, 4)]),
        ("packed, shapes", "pack", [(2, 8, 4)]),
        ("first, second", "unpack", [(2, 5, 4), (2, 3, 4)]),
        ("dots", "einsum", [(2, 5, 3)]),
        ("q", "rearrange", [(2, 2, 5, 2)]),
        ("k", "rearrange", [(2, 2, 3, 2)]),
        ("stacked", "rearrange", [(2, 2, 4, 5)]),
    ]
    assert not [s for s in trace.stages if s.kind == "function"]
    pooled = next(s for s in trace.stages if s.name == "pooled")
    assert pooled.pattern == "b n d -> b d"
    assert [spec.shape for spec in pooled.inputs] == [(2, 5, 4)]


class Bindings(nn.Module):
    """Ways in which a result gets its name."""

    def forward(self, x: Tensor) -> Tensor:
        first = x + 1
        self.kept = torch.cat([first, first])
        a, b = self.kept.chunk(2)
        chosen = a.mean(0) if x.shape[0] > 1 else b[0]
        if (walrus := torch.relu(b)) is not None:
            chosen = torch.exp(walrus) * torch.tanh(chosen)
        p, q = map(lambda t: t.sum(-1), (a, b))  # noqa: C417  # as people write it
        r, s = [t.amax(-1) for t in (a, b)]
        listed = [t.amin(-1) for pair in [(a, b)] for t in pair]
        self.made = [t.cumsum(-1) for t in (r, s)]
        plain = torch.stack([t.square() for t in listed])
        chained = doubled(p)
        é = torch.matmul(a, b.mT)
        z = é.mean()  # columns are counted in characters
        u, v = a[0], doubled(a)[1:]
        k, w, m, n = a.sum(), -b, a.add(b, alpha=2) + 1, b[0]
        return q, chained, z, plain, u, v, k, w, m, n


def doubled(t: Tensor) -> Tensor:
    return t * 2


def test_names_bound_to_results():
    trace = vit_trace.trace(Bindings(), torch.zeros(2, 3))
    assert [(s.name, s.operation) for s in trace.stages if s.kind == "function"] == [
        ("first", "add"),
        ("kept", "cat"),
        ("a, b", "chunk"),
        ("chosen", "mean"),
        ("walrus", "relu"),
        ("exp", "exp"),
        ("tanh", "tanh"),
        ("chosen#2", "mul"),
        ("p", "sum"),
        ("q", "sum"),
        ("r", "amax"),
        ("s", "amax"),
        ("listed", "amin"),
        ("listed#2", "amin"),
        ("made", "cumsum"),
        ("made#2", "cumsum"),
        ("square", "square"),
        ("square#2", "square"),
        ("plain", "stack"),
        ("chained", "mul"),
        ("mT", "mT"),
        ("é", "matmul"),
        ("z", "mean"),
        ("u", "getitem"),
        ("mul", "mul"),
        ("v", "getitem"),
        ("k", "sum"),
        ("w", "neg"),
        ("add", "add"),
        ("m", "add"),
        ("n", "getitem"),
    ]
    by_name = {s.name: s for s in trace.stages}
    assert by_name["z"].source.text == "é.mean()"
    assert by_name["é"].source.text == "torch.matmul(a, b.mT)"
    assert by_name["chained"].source.text == "t * 2"


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mha = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.mha(x, x, x, need_weights=False)
        return y


@pytest.mark.parametrize("model", [Attention(), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)])
def test_inside_of_multi_head_attention_shows(model):
    trace = vit_trace.trace(model, torch.zeros(3, 5, 8))
    operations = [s.operation for s in trace.stages if s.kind == "function"]
    assert "scaled_dot_product_attention" in operations
    assert operations.count("linear") >= 2
    assert trace.outputs[0].shape == (3, 5, 8)
    assert sum(s.parameters for s in trace.stages) == sum(p.numel() for p in model.parameters())


def test_real_tensors_give_a_real_forward_and_leave_the_model_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(36, 2))
    model[2].train(False)
    before, values = model_state(model), {k: v.clone() for k, v in model.state_dict().items()}
    trace = vit_trace.trace(model, torch.randn(2, 3, 4, 4))
    assert trace.target.device == "cpu" and trace.outputs[0].shape == (2, 2)
    assert model_state(model) == before
    assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())


def test_random_numbers_are_the_same_each_time_and_none_of_the_callers_are_used():
    class Drops(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[torch.rand(64, device="cpu") < 0.5]

    seed = torch.get_rng_state()
    first, second = (vit_trace.trace(Drops(), torch.zeros(64, 2)).outputs for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), seed)


def test_meta_tensors_need_no_memory():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2**20, 2**20), nn.GELU())
        trace = vit_trace.trace(model, torch.empty(2**20, 2**20))
    assert trace.outputs[0].shape == (2**20, 2**20)
    assert trace.totals.flops == 2 * 2**60


# -- failures ------------------------------------------------------------------------------------------------------


class Breaks(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        if self.how == "function":
            y = y + torch.zeros(3, device=y.device)
        if self.how == "python":
            raise AssertionError("window [7] does not divide 8")
        if self.how == "einops":
            y = rearrange(y, "b (h d) -> b h d", h=3)
        if self.how == "module":
            y = self.inner(y[:, :3])
        if self.how == "exit":
            sys.exit(3)
        if self.how == "caught":
            try:
                y = y @ torch.zeros(3, 3, device=y.device)
            except RuntimeError:
                y = y * 2
        return y


FAILURES = {
    "function": ("add", "function", "y + torch.zeros(3, device=y.device)", "RuntimeError"),
    "python": ("Breaks", "module", 'raise AssertionError("window [7] does not divide 8")', "AssertionError"),
    "einops": ("rearrange", "einops", 'rearrange(y, "b (h d) -> b h d", h=3)', "EinopsError"),
    "module": ("Linear", "module", "self.inner(y[:, :3])", "RuntimeError"),
    "exit": ("Breaks", "module", "sys.exit(3)", "SystemExit"),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("how", FAILURES)
def test_a_forward_that_raises_is_a_result(how, device):
    operation, kind, text, exception = FAILURES[how]
    model = Breaks(how).to(device)
    before = model_state(model)
    trace = vit_trace.trace(model, torch.zeros(2, 4, device=device))
    failing = trace.stages[trace.failure.stage]
    assert (failing.operation, failing.kind) == (operation, kind)
    assert failing.outputs == ()
    assert trace.failure.span.text == text
    assert trace.failure.exception.startswith(exception)
    assert trace.stages[2].outputs[0].shape == (2, 4), "what ran before is there"
    assert trace.outputs == ()
    assert model_state(model) == before
    assert type(trace).from_json(trace.to_json()) == trace


def test_an_exception_the_model_catches_is_no_failure():
    trace = vit_trace.trace(Breaks("caught"), torch.zeros(2, 4))
    assert trace.failure is None and trace.outputs[0].shape == (2, 4)


def test_keyboard_interrupt_passes_and_leaves_nothing():
    class Interrupted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise KeyboardInterrupt

    model = Interrupted()
    before = model_state(model)
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job does not hear Ctrl-C
    try:
        with pytest.raises(KeyboardInterrupt):
            vit_trace.trace(model, torch.zeros(1))
    finally:
        signal.signal(signal.SIGINT, heard)
    assert model_state(model) == before


def test_wrong_call_is_a_failure_of_the_root():
    trace = vit_trace.trace(nn.Linear(2, 2))
    assert trace.failure.stage == 0 and trace.failure.exception.startswith("TypeError")


def test_not_a_module():
    with pytest.raises(TypeError, match="got dict"):
        vit_trace.trace({})


def test_flops_of_the_reference_by_hand():
    """2 per multiply-add: patches, per layer qkv, dots, attn·v, out and the feed-forward, head."""
    tokens, dim, inner = 65, 1024, 1024
    layer = tokens * dim * 3 * inner + 2 * tokens * tokens * inner + tokens * inner * dim + 2 * tokens * dim * 2048
    by_hand = 2 * 5 * (64 * 3072 * dim + 6 * layer + dim * 20)
    trace = run_target(builtin(ViTConfig()))
    assert trace.totals.flops == pytest.approx(by_hand, rel=0.01)
    assert sum(stage.flops for stage in trace.stages) == trace.totals.flops


def test_functional_dropout_and_plain_slices_are_no_stages():
    class Quiet(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = F.dropout(x, 0.5, self.training)
            x = x[:, :4].contiguous().detach()
            return x.view(2, 4).to(torch.float32)

    trace = vit_trace.trace(Quiet(), torch.zeros(2, 4))
    assert [stage.kind for stage in trace.stages] == ["input", "module", "output"]


def test_training_mode_on_request():
    class Which(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:1] if self.training else x

    assert record(Which(), (torch.zeros(2, 4),), None, RecordOptions(train=True)).outputs[0].shape == (1, 4)
    assert record(Which(), (torch.zeros(2, 4),)).outputs[0].shape == (2, 4)


def test_two_files_of_the_same_text_keep_their_own_names(tmp_path):
    """Python takes equal code of two files for equal; a span must still say which file it is in."""
    text = "from torch import nn\nclass M(nn.Module):\n    def forward(self, x):\n        return x * 2\n"
    for name in ("one", "two"):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        scope: dict = {}
        exec(compile(text, str(path), "exec"), scope)
        trace = vit_trace.trace(scope["M"](), torch.zeros(1))
        stage = next(stage for stage in trace.stages if stage.operation == "mul")
        assert stage.source.file == str(path) and stage.source.text == "x * 2"


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        ("vit_trace/vit.py", frames.OWN),
        ("vit_trace/targets/complaints.py", frames.LIBRARY),
        ("vit_trace/record/recorder.py", frames.LIBRARY),
        ("tests/helpers/classic_vit.py", frames.OWN),
    ],
)
def test_the_package_is_not_taken_for_a_model_of_the_user(file, owner):
    root = ROOT if file.startswith("tests/") else Path(vit_trace.__file__).parent.parent  # installed, or here
    assert frames.owner(str(root / file)) == owner
