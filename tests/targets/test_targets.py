"""Other people's ViTs: each traced as the command line does it, against plain hooks on a real CPU forward.

The first rows run always, the rest in the slow sweep. A row is a spec with assignments that keep a real forward small.
"""

import json
import os
import re

import pytest
import torch
from conftest import attributes
from helpers.oracle import module_calls, traced_calls
from helpers.targets import library_target

from vit_trace.base.refused import Refused
from vit_trace.base.trace import Trace
from vit_trace.cli import app as cli
from vit_trace.dims.formula import evaluate, parse
from vit_trace.dims.values import at, bindings
from vit_trace.dims.walk import stage_keys
from vit_trace.probing import bounded, probing
from vit_trace.probing.run import run_target
from vit_trace.view import summary as views
from vit_trace.view.outline import outline

pytest.importorskip("timm")
pytest.importorskip("transformers")
pytest.importorskip("torchvision")
pytest.importorskip("vit_pytorch")

VIT_PYTORCH = ("image_size=64", "patch_size=16", "num_classes=10", "dim=64", "depth=2", "heads=4", "mlp_dim=96")
HF_SMALL = ("num_hidden_layers=2",)
QUICK = {
    "timm:vit_tiny_patch16_224": ("depth=2",),
    "timm:vit_small_patch14_reg4_dinov2": ("depth=2", "img_size=126"),
    "timm:swin_tiny_patch4_window7_224": (),
    "hf:ViTForImageClassification": HF_SMALL,
    "hf:SwinModel": (),
    "torchvision:vit_b_16": (),
    "vit_pytorch.simple_vit:SimpleViT": VIT_PYTORCH,
}
SLOW = {
    "timm:deit3_small_patch16_224": ("depth=2",),
    "timm:beit_base_patch16_224": ("depth=2",),
    "timm:eva02_tiny_patch14_224": ("depth=2",),
    "timm:cait_xxs24_224": ("depth=2",),
    "timm:xcit_nano_12_p16_224": ("depth=2",),
    "timm:pvt_v2_b0": (),
    "timm:hiera_tiny_224": (),
    "timm:vit_base_patch14_reg4_dinov2": ("depth=2", "img_size=126"),
    "timm:vit_base_patch16_siglip_224": ("depth=2",),
    "timm:convit_tiny": (),
    "timm:levit_128s": (),
    "hf:ViTModel": HF_SMALL,
    "hf:DeiTModel": HF_SMALL,
    "hf:BeitModel": HF_SMALL,
    "hf:Dinov2Model": HF_SMALL,
    "hf:Dinov2WithRegistersModel": HF_SMALL,
    "hf:CLIPVisionModel": HF_SMALL,
    "hf:SiglipVisionModel": HF_SMALL,
    "hf:SegformerModel": (),
    "hf:BlipVisionConfig": HF_SMALL,
    "hf:BridgeTowerVisionConfig": HF_SMALL,
    "vit_pytorch.xcit:XCiT": (*VIT_PYTORCH, "cls_depth=1"),
    "vit_pytorch.vit_1d:ViT": ("seq_len=64", "patch_size=8", *VIT_PYTORCH[2:]),
    "vit_pytorch.vit_3d:ViT": (
        *("image_size=64", "frames=8", "image_patch_size=16", "frame_patch_size=2"),
        *VIT_PYTORCH[2:],
    ),
    "torchvision:swin_t": (),
    "vit_pytorch.vit:ViT": VIT_PYTORCH,
    "vit_pytorch.deepvit:DeepViT": VIT_PYTORCH,
}
RARE = {
    "timm:swinv2_tiny_window8_256": (),
    "timm:pit_ti_224": (),
    "timm:efficientformer_l1": (),
    "hf:Qwen2_5_VLVisionConfig": ("depth=2", "hidden_size=320", "intermediate_size=320"),
    "torchvision:maxvit_t": (),
    "timm:naflexvit_base_patch16_gap": ("depth=2",),
    "timm:maxvit_tiny_tf_224": (),
    "timm:crossvit_9_240": (),
    "timm:mobilevit_xxs": (),
    "timm:volo_d1_224": (),
    "hf:EfficientLoFTRConfig": (),
    "hf:DepthAnythingConfig": ("backbone_config.image_size=126",),
    "timm:mvitv2_tiny": (),
    "timm:tnt_s_patch16_224": (),
    "timm:twins_pcpvt_small": (),
    "hf:VideoMAEModel": HF_SMALL,
    "vit_pytorch.twins_svt:TwinsSVT": ("num_classes=10", *(f"s{stage}_depth=1" for stage in (1, 2, 3, 4))),
}
"""A quarter of a minute and more each: with VIT_TRACE_ALL_MODELS=1 only."""


def on_cpu(value):
    """The same arguments with real zeros instead of meta tensors; what has values keeps them."""
    if isinstance(value, torch.Tensor):
        return torch.zeros(value.shape, dtype=value.dtype) if value.is_meta else value
    if isinstance(value, tuple | list):
        return type(value)(map(on_cpu, value))
    return {name: on_cpu(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def check(spec: str, assignments: tuple[str, ...]) -> Trace:
    """Shapes are those of a real forward, and every formula gives its size."""
    target = library_target(spec, assignments)
    trace = run_target(target)
    assert trace.failure is None, trace.failure
    args, kwargs = on_cpu(target.inputs())
    torch.manual_seed(0)
    assert traced_calls(trace) == module_calls(target.build(), *args, **kwargs)
    values = {name: symbol.value for name, symbol in trace.symbols.items()}
    axes = [(dim, size) for s in trace.stages for t in s.outputs for dim, size in zip(t.dims, t.shape, strict=True)]
    assert all(evaluate(parse(dim), values) == size for dim, size in axes)
    return trace


def covered(trace: Trace) -> float:
    """Share of dimensions that have a formula."""
    known = [
        not dim.isdigit() or axis in tensor.constant
        for stage in trace.stages
        for tensor in stage.outputs
        for axis, dim in enumerate(tensor.dims)
    ]
    return sum(known) / len(known)


@pytest.mark.parametrize("spec", QUICK)
def test_quick(spec):
    assert covered(check(spec, QUICK[spec])) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("spec", SLOW | (RARE if os.environ.get("VIT_TRACE_ALL_MODELS") else {}))
def test_sweep(spec):
    check(spec, (SLOW | RARE)[spec])


FULL = ["timm:vit_base_patch16_224", "timm:deit3_base_patch16_224", "timm:vit_base_patch14_reg4_dinov2"]


@pytest.mark.parametrize("spec", FULL[:1])
def test_every_dimension_of_a_plain_vit_has_a_formula(spec):
    every_dimension(spec)


@pytest.mark.slow
@pytest.mark.parametrize("spec", [*FULL[1:], "timm:eva02_base_patch14_224"])
def test_every_dimension_of_its_kin_has_a_formula(spec):
    every_dimension(spec)


def every_dimension(spec: str) -> None:
    trace = run_target(library_target(spec))
    assert "n + 1" in {dim for s in trace.stages for t in s.outputs for dim in t.dims} or "reg4" in spec
    for stage in trace.stages:
        for tensor in stage.outputs:
            for axis, dim in enumerate(tensor.dims):
                # the class token that eva02 cuts off: how many registers stand beside it is not probed
                token = "eva02" in spec and stage.operation == "getitem" and dim == "1"
                assert not dim.isdigit() or axis in tensor.constant or token, f"{stage.name}: {tensor.dims}"


@pytest.mark.parametrize(
    ("spec", "assignments", "others"),
    [
        ("timm:vit_tiny_patch16_224", ("depth=1",), ("depth=1", "img_size=160", "embed_dim=144", "num_heads=4")),
        ("hf:ViTModel", ("num_hidden_layers=1",), ("num_hidden_layers=1", "hidden_size=96", "num_attention_heads=6")),
    ],
)
def test_formulas_predict_another_setting(spec, assignments, others):
    """Evaluated with the symbols of another setting, the formulas give that setting's trace."""
    named, real = run_target(library_target(spec, assignments)), run_target(library_target(spec, others))
    values = {name: symbol.value for name, symbol in real.symbols.items()}
    checked = 0
    for one, other in zip(named.stages, real.stages, strict=True):
        for ours, theirs in zip(one.outputs, other.outputs, strict=True):
            for axis, (dim, size) in enumerate(zip(ours.dims, theirs.shape, strict=True)):
                if not dim.isdigit() or axis in ours.constant:
                    assert evaluate(parse(dim), values) == size, f"{one.name} {dim}"
                    checked += 1
    assert checked > 50
    given = {name: value for name, value in values.items() if real.symbols[name].formula is None}
    there = at(named, {name: value for name, value in given.items() if name in named.symbols})
    assert [one.flops for one in there.stages] == [one.flops for one in real.stages]
    assert there.totals == real.totals


@pytest.mark.parametrize(
    ("spec", "assignments", "others"),
    [  # a window as large as what it looks at, a patch that leaves less than a window, a side that rounds twice
        ("timm:swin_tiny_patch4_window7_224", ("depths=(1,1,1,1)",), ("window_size=14",)),
        ("timm:swin_tiny_patch4_window7_224", ("depths=(1,1,1,1)",), ("img_size=(96,160)",)),
        pytest.param("timm:swin_tiny_patch4_window7_224", (), ("patch_size=8",), marks=pytest.mark.slow),
        pytest.param("timm:levit_128s", (), ("img_size=(336,448)",), marks=pytest.mark.slow),
    ],
)
def test_formulas_hold_where_sizes_are_clamped_or_rounded(spec, assignments, others):
    named, real = (
        run_target(library_target(spec, assignments)),
        run_target(library_target(spec, (*assignments, *others))),
    )
    assert covered(named) >= 0.9
    given = {name: one.value for name, one in real.symbols.items() if one.formula is None}
    values = bindings(named, {name: value for name, value in given.items() if name in named.symbols})
    there = dict(zip(stage_keys(real.stages), real.stages, strict=True))
    checked = 0
    for key, stage in zip(stage_keys(named.stages), named.stages, strict=True):
        for ours, theirs in zip(stage.outputs, there[key].outputs if key in there else (), strict=False):
            for axis, (dim, size) in enumerate(zip(ours.dims, theirs.shape, strict=True)):
                if not dim.isdigit() or axis in ours.constant:
                    assert evaluate(parse(dim), values) == size, f"{stage.name} {dim}"
                    checked += 1
    assert checked > 200


MINE = """
import torch
from torch import nn

class Mine(nn.Module):
    def __init__(self, resolution=(64, 96), patch=16, hidden=48, n_head=3, n_out=10, in_ch=3, repeat=0):
        super().__init__()
        for _ in range(repeat):
            pass
        self.proj = nn.Conv2d(in_ch, hidden, patch, patch)
        self.pos = nn.Parameter(torch.zeros(1, resolution[0] // patch * (resolution[1] // patch), hidden))
        self.attn = nn.MultiheadAttention(hidden, n_head, batch_first=True)
        self.head = nn.Linear(hidden, n_out)

    def forward(self, x):
        x = self.proj(x).flatten(2).transpose(1, 2) + self.pos
        return self.head(self.attn(x, x, x, need_weights=False)[0].mean(1))
"""


def test_hyperparameters_by_other_names_are_turned_too(tmp_path, monkeypatch):
    (tmp_path / "mine_by_other_names.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    trace = run_target(library_target("mine_by_other_names.py:Mine"))
    assert covered(trace) == 1
    assert {one.name: one.dims for one in trace.parameters}["proj.weight"] == ("dim", "c", "p", "p")
    assert trace.outputs[0].dims == ("b", "classes")


HEADS = """
from torch import nn
class Net(nn.Module):
    def __init__(self, dim=24, heads=3):
        super().__init__()
        self.qkv = nn.Conv2d(3, dim * heads, 4, 4)
        self.proj = nn.Conv2d(dim * heads, dim, 1) if heads > 1 else nn.Identity()
    def forward(self, x):
        return self.proj(self.qkv(x))
"""


def test_a_layer_of_another_kind_in_the_same_place_is_another_structure(tmp_path, monkeypatch):
    (tmp_path / "heads.py").write_text(HEADS)
    monkeypatch.chdir(tmp_path)
    saved = run_target(library_target("heads.py:Net"))
    totals = {heads: at(saved, {"heads": heads}).totals for heads in (1, 2)}
    assert (totals[1].bound, totals[2].bound) == ("unknown", "exact")


@pytest.mark.parametrize(
    ("module", "limit", "value", "says"),
    [
        (probing, "MOST", 60, "4 more traces, each with the work of 49 stages, are too many"),
        (probing, "TRACES", 1, "stopped after 2 traces, each with the work of 49 stages"),
        (bounded, "LINES", 30, "stopped: its constructor runs more than 30 lines"),
    ],
)
def test_where_the_budget_ends_the_search_sizes_keep_their_numbers(module, limit, value, says, tmp_path, monkeypatch):
    (tmp_path / "mine_slowly.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, limit, value)
    trace = run_target(library_target("mine_slowly.py:Mine", ("repeat=40",)))
    (note,) = [one.message for one in trace.diagnostics if one.code == "formulas"]
    assert says in note
    assert all(dim.isdigit() for stage in trace.stages for one in stage.outputs for dim in one.dims)


FILES = {
    "broken.py": "def build(:\n",
    "raises.py": "def build(dim=3):\n    raise ValueError(f'no {dim}')\n",
    "none.py": "def build():\n    return 3\n",
    "loop_a.py": "import loop_b\nfrom loop_b import late\n",
    "loop_b.py": "import loop_a\nfrom loop_a import late\n",
    "config.json": '{"model_type": "bert", "architectures": ["BertModel"]}',
    "empty.json": "{}",
    "bad.json": "{",
    "exits.py": "import sys\nsys.exit(3)\n",
    "kind.json": '{"model_type": ["vit"]}',
    "notes.txt": "hello",
    "1.py": "def build(): return 3\n",
    "typed.py": "held = {}\ndef build(p: 'float | None' = None): return held\n",
    "pack/__init__.py": "",
    "pack/net.py": "def build(): return 3\n",
}
BAD = [
    ("timm:vit_bas_patch16_224", "vit_base_patch16"),
    ("hf:ViTConfg", "ViTConfig"),
    ("torchvision:vit_b_61", "vit_b_16"),
    ("no_such_module_here:build", "no_such_module_here"),
    ("broken.py:build", "broken.py"),
    ("raises.py:build", "no 3"),
    ("none.py:build", "none.py"),
    ("raises.py:biuld", "build"),
    ("missing.py:build", "missing.py"),
    ("loop_a:build", "loop_"),
    ("config.json", "Bert"),
    ("empty.json", "empty.json"),
    ("bad.json", "bad.json"),
    ("exits.py:build", "exits.py"),
    ("kind.json", "model_type"),
    ("notes.txt:build", "is not a Python file"),
    ("typed.py:held.missing", "typed.py:held has no missing"),
    ("1.py:Net", "1.py has no Net"),
    ("typed.py:build --set p=abc", "a number or none"),
    ("typed.py:", "nothing after the colon"),
    ("pack:build", "net"),
    ("pack.nte:build", "did you mean pack.net?"),
    ("timm:vit_base_patch16_224 --set depth=two", "depth takes a whole number"),
    ("timm:vit_base_patch16_224 --set patchsize=8", "patch_size"),
    ("timm:vit_base_patch16_224.nosuchtag", "no vit_base_patch16_224 of the tag nosuchtag"),
    ("torchvision:vit_b_16 --set nope=3", "takes no nope"),
    ("torchvision:vit_b_16 --set attention_dropuot=3", "attention_dropout"),
    ("hf:CLIPConfig --set visioncfg.depth=3", "vision_config"),
]


@pytest.mark.parametrize(("spec", "says"), BAD, ids=[spec for spec, _ in BAD])
def test_bad_specs_are_refused_in_their_own_words(spec, says, tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    spec, *assigned = spec.split(" --set ")
    with pytest.raises(Refused) as refused:
        run_target(library_target(spec, assigned))
    text = " ".join(
        part
        for d in refused.value.diagnostics
        for part in (d.message, *d.notes, *d.help, d.span.file if d.span else "")
    )
    assert says in text


def test_what_a_library_hangs_on_torch_is_told_from_what_we_leave(monkeypatch):
    """transformers leaves nn.Module.smart_apply; a function of ours, or one of theirs over torch's own, is seen."""
    from transformers.modeling_utils import PreTrainedModel

    before = attributes(torch.nn.Module)
    with monkeypatch.context() as patched:
        patched.setattr(torch.nn.Module, "planted_by_a_library", PreTrainedModel.init_weights, raising=False)
        assert attributes(torch.nn.Module) == before
        patched.setattr(torch.nn.Module, "apply", PreTrainedModel.init_weights)
        assert attributes(torch.nn.Module) != before
    with monkeypatch.context() as patched:
        patched.setattr(torch.nn.Module, "planted_by_us", run_target, raising=False)
        assert attributes(torch.nn.Module) != before


LOUD = """
import os
from torch import nn
class Loud(nn.Linear):
    def forward(self, x):
        print("said")
        os.write(1, b"written")
        return super().forward(x)
print("loading")
def build(dim=8, image_size=8):
    os.system("echo from a process")
    return Loud(image_size, dim)
"""


def test_what_other_code_prints_is_kept_off_stdout(tmp_path, monkeypatch, capfd):
    """Also what it writes past Python; and the runs that look for formulas say nothing again."""
    (tmp_path / "loud.py").write_text(LOUD)
    monkeypatch.chdir(tmp_path)
    assert cli.run(["loud.py:build", "--format", "json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["target"]["class"] == "Loud"
    assert err.count("said") == err.count("written") == 1 and "from a process" in err


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("timm:vit_tiny_patch16_224", "image 224×224 · patch 16 · dim 192 · depth 12 · heads 3 · 1000 classes"),
        ("hf:ViTModel", "image 224 · patch 16 · dim 768 · depth 12 · heads 12 · mlp 3072"),
    ],
)
def test_the_title_speaks_of_a_library_s_model_in_our_words(spec, says):
    assert " · ".join(views.title(run_target(library_target(spec), formulas=False))[1:]) == says


@pytest.mark.parametrize(("spec", "given"), [("hf:ViTModel", "pixel_value"), ("torchvision:vit_b_16", "img")])
def test_an_input_of_a_name_that_forward_has_not_is_refused(spec, given):
    with pytest.raises(Refused) as refused:
        library_target(spec, inputs=(f"{given}=2x3x224x224",))
    assert f"takes no {given}" in refused.value.diagnostics[0].message


def test_a_glob_that_nothing_fits_is_said_to(capfd):
    assert cli.run(["models", "torchvision:nosuchthing"]) == 1
    assert "no model matches torchvision:nosuchthing" in capfd.readouterr().err


@pytest.mark.parametrize("spec", ["timm:swin_tiny_patch4_window7_224", "hf:SegformerModel", "torchvision:maxvit_t"])
def test_blocks_like_one_above_are_closed_and_still_counted(spec):
    """A closed row has the parameters of all inside it, and the operations of the block that it is said to be like."""
    trace = run_target(library_target(spec), formulas=False)
    rows = outline(trace).rows
    closed = [row for row in rows if ", as " in row.operation]
    assert len(closed) >= 4
    assert len(rows) < len(outline(trace, fold=False).rows) / 2

    def inside(module: str) -> list[tuple[int, str]]:
        held = [stage for stage in trace.stages if f"{stage.module}.".startswith(f"{module}.")]
        return [(stage.parameters, stage.operation) for stage in held]

    def lasting(stages: list[tuple[int, str]]) -> list[str]:
        return [name for _, name in stages if not re.search("drop|identity|stochastic", name.lower())]

    for row in closed:
        module = trace.stages[row.stage].module
        other = row.operation.rpartition(", as ")[2]
        own = inside(module)
        assert row.parameters == sum(count for count, _ in own) * max(row.repeats, 1)
        assert lasting(own) == lasting(inside(other))
    assert not any(", as " in row.operation for row in outline(trace, fold=False).rows)
