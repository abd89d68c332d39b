"""What a training step takes: saved bytes as a real CPU saves them, peaks as torch's MemTracker sees them."""

import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers.commands import call, python_process
from helpers.targets import library_target
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed._tools.mem_tracker import MemTracker

from vit_trace.base.refused import Refused
from vit_trace.config import load
from vit_trace.memory.blocks import blocks, checkpointed
from vit_trace.memory.functions import LOWER, Casts, Functions, Lists, cuda
from vit_trace.memory.functions import functions as functions_of
from vit_trace.memory.judge import Run, memory_report
from vit_trace.memory.options import Training, TrainingAsked, budget_of
from vit_trace.memory.subject import Unmeasured, Way, loss_of, run_step
from vit_trace.memory.timeline import timeline
from vit_trace.targets.builtin import builtin

CPU = partial(Training, device="cpu")
SMALL = dict(image_size="64", patch_size="16", dim="64", depth="3", heads="2", mlp_dim="96", num_classes="7")


def small(**changes):
    return builtin(load(None, SMALL | changes, ()))


def timm(name, **more):
    import timm

    return partial(timm.create_model, name, **more)


def torchvision_vit():
    import torchvision

    return torchvision.models.VisionTransformer(32, 16, 2, 4, 64, 128, dropout=0.1, attention_dropout=0.0)


def huggingface(name="ViT", **more):
    import transformers

    sizes = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96, image_size=32)
    config = getattr(transformers, f"{name}Config")(patch_size=16, **sizes, **more)
    return getattr(transformers, f"{name}ForImageClassification")(config)


def detr():
    import transformers

    sizes = dict(embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=["stage4"])
    layers = dict(encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=5)
    heads = dict(encoder_attention_heads=2, decoder_attention_heads=2, d_model=32)
    own = dict(use_timm_backbone=False, backbone=None, backbone_config=transformers.ResNetConfig(**sizes))
    return transformers.DetrForObjectDetection(transformers.DetrConfig(**own, **layers, **heads))


def siglip():
    import transformers

    sizes = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2)
    return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(image_size=32, patch_size=8, **sizes))


SAM = dict(img_size=64, depth=2, embed_dim=48, num_heads=2, global_attn_indexes=(1,), window_size=2)
SWIN = "swin_tiny_patch4_window7_224"
MODELS = {
    "built-in": (small().build, (2, 3, 64, 64)),
    "built-in, one image": (small().build, (1, 3, 64, 64)),
    "built-in, mean, one head": (small(pool="mean", heads="1", dim_head="64", dropout="0").build, (3, 3, 64, 64)),
    "timm vit": (timm("vit_tiny_patch16_224", img_size=64, depth=2), (2, 3, 64, 64)),
    "timm vit, dropout": (
        timm("vit_tiny_patch16_224", img_size=64, depth=3, drop_rate=0.1, attn_drop_rate=0.1, drop_path_rate=0.2),
        (2, 3, 64, 64),
    ),
    "timm deit": (timm("deit_tiny_distilled_patch16_224", img_size=64, depth=2), (2, 3, 64, 64)),
    "timm swin": (timm(SWIN, img_size=56, embed_dim=24, depths=(2, 2), num_heads=(2, 4)), (2, 3, 56, 56)),
    "timm eva02": (timm("eva02_tiny_patch14_224", img_size=56, depth=2), (2, 3, 56, 56)),
    "timm mobilevit": (timm("mobilevit_xxs"), (2, 3, 64, 64)),
    "torchvision vit": (torchvision_vit, (2, 3, 32, 32)),
    "hugging face vit": (huggingface, (2, 3, 32, 32)),
    "hugging face vit, eager": (partial(huggingface, attn_implementation="eager"), (2, 3, 32, 32)),
    "hugging face detr": (detr, (2, 3, 64, 64)),
    "hugging face siglip": (siglip, (2, 3, 32, 32)),
    "timm samvit": (timm("samvit_base_patch16", **SAM), (2, 3, 64, 64)),
    "hugging face deit": (partial(huggingface, "DeiT"), (2, 3, 32, 32)),
}  # fmt: skip
TRACKED = ["built-in", "timm vit", "timm swin", "torchvision vit", "hugging face vit"]


def cpu():
    """Autocast's lists for a CPU, for models of linear layers, convolutions and attention."""
    return Lists(functions_of(LOWER), frozenset(), frozenset(), functions_of("cat stack"))


def without_memory(make, shape, casts=None, checkpointing=False, rules=True):
    with torch.device("meta"):
        model = make().train()
    functions = Functions(casts)
    with checkpointed(model, functions.on) if checkpointing else nullcontext():
        fed = (torch.empty(shape, device="meta"),), {}
        return run_step(model, fed, shape[0], Way(functions.on, rules))


def really_saved(make, shape, around=nullcontext, checkpointing=False):
    """Bytes of all storages that a real forward on CPU saves, parameters and buffers left out."""
    model = make().train()
    held = {one.untyped_storage()._cdata for one in (*model.parameters(), *model.buffers())}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in held:
            saved[storage._cdata] = storage
        return tensor

    with checkpointed(model, around) if checkpointing else nullcontext():  # noqa: SIM117
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), around():
            out = model(torch.randn(shape))
    del out
    return sum(storage.nbytes() for storage in saved.values())


def tracked(make, shape, optimizer=None, earlier=0, checkpointing=False):
    """Peak bytes that MemTracker sees in a real step on CPU, after some earlier steps."""
    model, image = make().train(), torch.randn(shape)
    stepper = optimizer(model.parameters()) if optimizer else None

    def step():
        out = model(image)
        loss = loss_of(out)
        loss.backward()
        if stepper:
            stepper.step()
        return out, loss

    with checkpointed(model, nullcontext) if checkpointing else nullcontext():
        for _ in range(earlier):
            kept = step()
            del kept
            model.zero_grad()
        tracker = MemTracker()
        tracker.track_external(model, image, *([stepper] if stepper else []))
        with tracker:
            alive = step()
    del alive
    snapshot = tracker.get_tracker_snapshot("peak")
    return snapshot[torch.device("cpu")]["Total"], sum(one.requires_grad for one in model.parameters())


# -- saved for backward --------------------------------------------------------------------------------------------


SLOW = (
    "hugging face detr",
    "hugging face siglip",
    "timm samvit",
    "timm mobilevit",
    "timm eva02",
    "timm deit",
    "hugging face deit",
)
SOME = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in MODELS]


@pytest.mark.parametrize("name", SOME)
def test_saved_bytes_are_those_of_a_real_forward(name):
    assert without_memory(*MODELS[name]).saved_bytes == really_saved(*MODELS[name])


@pytest.mark.parametrize("name", TRACKED)
def test_saved_bytes_with_checkpointing_are_those_of_a_real_forward(name):
    saved = without_memory(*MODELS[name], checkpointing=True).saved_bytes
    assert saved == really_saved(*MODELS[name], checkpointing=True)
    assert saved < without_memory(*MODELS[name]).saved_bytes


@pytest.mark.parametrize("name", [*TRACKED, "timm deit"])
def test_saved_bytes_under_autocast_are_those_of_a_real_forward_under_it(name):
    real = really_saved(*MODELS[name], around=lambda: torch.autocast("cpu", torch.bfloat16))
    assert without_memory(*MODELS[name], Casts(cpu())).saved_bytes == real


def test_autocast_casts_a_weight_that_is_used_again_once():
    make = partial(torch.nn.Sequential, *[torch.nn.Linear(8, 8)] * 3)
    real = really_saved(make, (3, 8), around=lambda: torch.autocast("cpu", torch.bfloat16))
    with torch.device("meta"):
        make = partial(torch.nn.Sequential, *[torch.nn.Linear(8, 8)] * 3)
    assert without_memory(make, (3, 8), Casts(cpu())).saved_bytes == real


@settings(max_examples=12, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "batch_size": st.integers(1, 4),
            "patch_size": st.sampled_from([8, 16, 32]),
            "dim": st.integers(1, 40),
            "depth": st.integers(1, 3),
            "heads": st.integers(1, 4),
            "dim_head": st.integers(1, 24),
            "mlp_dim": st.integers(1, 50),
            "num_classes": st.integers(1, 5),
            "pool": st.sampled_from(["cls", "mean"]),
            "dropout": st.sampled_from([0.0, 0.3]),
            "emb_dropout": st.sampled_from([0.0, 0.3]),
        }
    )
)
def test_any_built_in_vit(values):
    target = small(**{name: str(value) for name, value in values.items()})
    make, shape = target.build, target.expected
    tape = without_memory(make, shape)
    assert tape.saved_bytes == really_saved(make, shape)
    plain = without_memory(make, shape, rules=False)
    assert (tape.events, tape.bytes, tape.saved) == (plain.events, plain.bytes, plain.saved)


@pytest.mark.parametrize("name", TRACKED)
def test_kernels_by_rule_and_torchs_own_give_the_same_tape(name):
    for casts in (None, Casts(cuda())):
        ruled = without_memory(*MODELS[name], casts)
        plain = without_memory(*MODELS[name], casts, rules=False)
        assert (ruled.bytes, ruled.saved, ruled.peak()[0]) == (plain.bytes, plain.saved, plain.peak()[0])


def test_saved_bytes_by_hand():
    """One layer of the built-in ViT without dropout: what each function needs for its derivative, float32."""
    b, n, dim, heads, inner, mlp = 2, 17, 64, 2, 128, 96
    norm = b * n * dim + 2 * b * n + b * n * dim  # its input, mean and 1/std; its output, for the linear layer behind
    attention = 3 * b * n * inner + b * heads * n * n + b * n * inner  # q, k, v; softmax; what goes into to_out
    feed_forward = 2 * b * n * mlp  # before and behind GELU
    one, two = (
        without_memory(small(dropout="0", depth=depth).build, (b, 3, 64, 64)).saved_bytes for depth in ("1", "2")
    )
    assert two - one == 4 * (2 * norm + attention + feed_forward)


# -- peaks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [one for one in SOME if one.values[0] != "hugging face detr"]
)  # MemTracker fails on it
@pytest.mark.parametrize("checkpointing", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_peak_of_forward_and_backward_is_memtrackers(name, checkpointing):
    tape = without_memory(*MODELS[name], checkpointing=checkpointing)
    assert tape.peak()[0] == tracked(*MODELS[name], checkpointing=checkpointing)[0]


OPTIMIZERS = {
    "adamw": partial(torch.optim.AdamW, foreach=True),
    "sgd": partial(torch.optim.SGD, lr=0.1, foreach=True),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "name", ["built-in", *(pytest.param(name, marks=pytest.mark.slow) for name in TRACKED if name != "built-in")]
)
def test_the_peak_of_a_whole_step_is_memtrackers(name, optimizer):
    """AdamW's step counters, one number of four bytes a parameter, lie on the CPU of a GPU run and are not counted."""
    tape = without_memory(*MODELS[name])
    line = timeline(tape, Training(optimizer=optimizer))
    for ours, earlier in ((line.first_peak()[0], 0), (line.later_peak()[0], 1)):
        theirs, parameters = tracked(*MODELS[name], OPTIMIZERS[optimizer], earlier)
        assert theirs - ours in ((0, 4 * parameters) if optimizer == "adamw" else (0,))


def test_what_a_gpu_keeps_in_float32_is_kept_so():
    make, shape = small(dropout="0").build, (2, 3, 64, 64)
    lists = {"cuda": without_memory(make, shape, Casts(cuda())), "cpu": without_memory(make, shape, Casts(cpu()))}
    softmax = 3 * 2 * 2 * 17 * 17  # layers, images, heads, scores: saved in float32, and in bfloat16 for the product
    assert lists["cuda"].saved_bytes - lists["cpu"].saved_bytes >= 4 * softmax


# -- the report ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "bf16-mixed", "bf16"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_largest_batch_fits_and_the_next_does_not(precision, checkpointing, device):
    training = Training(4, "adamw", precision, checkpointing, device=device)
    run = Run(small(), training)
    for budget in (run.peak(2), run.peak(3) - 1, run.peak(37), run.peak(38) - 1, run.peak(200) + 1):
        report = memory_report(small(), training, budget)
        most = report.largest_batch
        assert (most == 0 or run.fits(most, budget)) and not run.fits(most + 1, budget)
        assert report.fits == (report.peak.bytes <= budget) == run.fits(4, budget)


@pytest.mark.parametrize(
    ("budget", "most"), [(0, 0), (-1, 0), (1, 1)], ids=["below what one image takes", "below", "above"]
)
def test_one_image_or_none(budget, most):
    one = Run(small(), CPU(1)).peak(1)
    report = memory_report(small(), CPU(8), one + (budget if budget > 0 else budget - 1))
    assert report.largest_batch == most


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_parts_of_a_peak_are_the_peak(device):
    for optimizer in ("adamw", "sgd", "none"):
        for batch in (1, 4, 64):
            report = memory_report(small(), Training(batch, optimizer, device=device), None)
            assert sum(report.peak.parts.values()) == report.peak.bytes
            assert sum(report.first_step.parts.values()) == report.first_step.bytes
            assert sum(one.bytes for one in report.stages) == report.activations
            assert report.first_step.bytes <= report.peak.bytes


def test_parameters_and_state_are_what_their_counts_say():
    target = builtin(load(Path("configs/vit_b_16.yaml"), {"batch_size": "8"}, ()))
    report = memory_report(target, Training(), None)
    count = sum(one.numel() for one in target.build().parameters())
    assert (report.parameters, report.gradients, report.optimizer_state) == (4 * count, 4 * count, 8 * count)
    half = memory_report(small(), Training(2, "adamw", "bf16"), None)
    whole = memory_report(small(), Training(2, "adamw", "fp32"), None)
    assert (2 * half.parameters, 2 * half.optimizer_state) == (whole.parameters, whole.optimizer_state)


def test_remedies_are_measured():
    budget = Run(small(), CPU(64)).peak(64) - 1
    report = memory_report(small(), CPU(64), budget)
    assert [one.flag for one in report.remedies] == ["--checkpointing", "--precision bf16-mixed", "--precision bf16"]
    for remedy, training in zip(
        report.remedies,
        (CPU(64, checkpointing=True), CPU(64, precision="bf16-mixed"), CPU(64, precision="bf16")),
        strict=True,
    ):
        assert remedy.peak == Run(small(), training).peak(64)


BLOCKS = {
    "built-in": ["transformer.layers.0.0", "transformer.layers.0.1", "transformer.layers.1.0"],
    "timm vit": ["blocks.0", "blocks.1"],
    "timm swin": ["layers.0.blocks.0", "layers.0.blocks.1", "layers.1.blocks.0"],
    "torchvision vit": ["encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1"],
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_found(name):
    with torch.device("meta"):
        model = MODELS[name][0]()
    assert [path for path, _ in blocks(model)][:3] == BLOCKS[name]


@pytest.mark.parametrize(
    "spec",
    ["timm:vit_tiny_patch16_224", "hf:ViTConfig", "torchvision:vit_b_16", "tests/memory/models_memory.py:TwoInputs"],
)
def test_any_target(spec):
    report = memory_report(library_target(spec, flags={"batch_size": "3"}), Training(), 10**15)
    assert report.batch_size == 3 and report.fits and report.largest_batch > 3
    assert report.peak.bytes > report.parameters + report.gradients


def test_a_batch_norm_takes_no_batch_of_one():
    target = library_target("tests/memory/models_memory.py:Normed", flags={"batch_size": "4"})
    budget = Run(target, CPU()).peak(2)
    assert memory_report(target, CPU(), budget).largest_batch == 2
    assert memory_report(target, CPU(), budget - 1).largest_batch == 0


def test_a_model_without_gradients_is_not_measured():
    with pytest.raises(Unmeasured, match="gradient"):
        memory_report(library_target("tests/memory/models_memory.py:Frozen"), Training(), None)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_model_that_branches_on_values_is_measured(device):
    """A condition that is taken as true raises; taken as false, the step is the one of the model that asks nothing."""
    asks, plain = (
        memory_report(
            library_target("tests/memory/models_memory.py:Branching", [f"asks={asks}"]), Training(device=device), None
        )
        for asks in ("true", "false")
    )
    assert asks.activations >= plain.activations > 0


def test_frozen_parameters_get_no_gradient_and_no_state():
    report = memory_report(library_target("tests/memory/models_memory.py:HalfFrozen"), Training(), None)
    assert (report.parameters, report.gradients, report.optimizer_state) == (4 * 16 * 24, 4 * 16 * 8, 2 * 4 * 16 * 8)


# -- arithmetic ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("24GiB", 24 * 2**30),
        ("80GB", 80 * 10**9),
        ("24000MiB", 24000 * 2**20),
        ("1.5TiB", 3 * 2**39),
        ("80 gib", 80 * 2**30),
        ("16G", 2**34),
        ("123456", 123456),
        ("0.5GB", 5 * 10**8),
    ],
)
def test_amounts_of_memory(text, count):
    assert budget_of(text) == count


@pytest.mark.parametrize(
    "text", ["", "0", "-3GiB", "GiB", "24 GiBs", "1e9", "24GiB 3", "nan", "9999999999TiB", "0.1B", "1.5"]
)
def test_what_is_no_amount_of_memory_is_refused(text):
    with pytest.raises(Refused):
        budget_of(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"optimizer": "adam"},
        {"precision": "fp16"},
        {"device": "rocm"},
        {"attention": "sdpa"},
        {"reserve": "much"},
        {"lora": "r=8"},
        {"lora": "targets=qkv"},
        {"lora": "r=0,targets=qkv"},
        {"lora": "r=8,targets=qkv,alpha=3"},
        {"zero": 2},
        {"gpus": 8},
        {"zero": 4, "gpus": 8},
        {"fsdp": 8, "zero": 3, "gpus": 8},
        {"inference": True, "ema": True},
        {"device": "cpu", "attention": "flash"},
    ],
    ids=str,
)
def test_what_is_no_way_to_train_is_refused(wrong):
    with pytest.raises(Refused):
        TrainingAsked(**wrong).training()


# -- the command line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--memory", "24GiB"], 0),
        (["--memory", "100MB"], 1),
        (["--memory", "much"], 2),
        (["--memory", "24"], 2),
        (["--memory", "24GiB", "--optimizer", "adagrad"], 2),
        (["--memory", "24GiB", "--precision", "fp8"], 2),
        (["--precision", "bf16"], 2),
        (["--checkpointing"], 2),
        (["--memory", "24GiB", "--checkpointing", "--precision", "bf16-mixed", "--optimizer", "sgd"], 0),
    ],
)
def test_exit_codes(arguments, code, capsys):
    run = call(capsys, "check", "configs/vit_ti_16.yaml", "--batch-size", "8", *arguments)
    assert run.code == code
    assert ("error[" in run.out + run.err) == (code != 0)


def test_json(capsys):
    import jsonschema

    words = ("--batch-size", "8", "--memory", "100MB", "--format", "json")
    run = call(capsys, "check", "configs/vit_ti_16.yaml", *words)
    assert run.code == 1
    document = json.loads(run.out)
    jsonschema.validate(document, json.loads(Path("vit_trace/check_schema.json").read_text()))
    (verdict,) = document["configs"]
    assert verdict["diagnostics"][0]["code"] == "does-not-fit"
    assert verdict["memory"]["batch_size"] == 8 and verdict["memory"]["fits"] is False


def test_the_answer_stands_before_the_figures_and_shares_end_in_one_column(capsys):
    lines = call(capsys, "check", "configs/vit_ti_16.yaml", "--batch-size", "8", "--memory", "24GiB").out.splitlines()
    title = next(place for place, line in enumerate(lines) if "a training step" in line)
    assert lines[title + 1].startswith("fits 24.0 GiB · largest batch ")
    assert len({len(line) for line in lines if line.endswith(" %")}) == 1


def test_the_largest_vit_needs_no_compiler():
    """What makes it as quick as `import torch`: none of torch's Python kernels is ever called."""
    code = (
        "import sys; from vit_trace.cli.app import run; "
        "code = run(['check', 'configs/vit_22b_14.yaml', '--memory', '80GiB']); "
        "sys.exit(10 * code + ('sympy' in sys.modules or 'torch._dynamo' in sys.modules))"
    )
    done = python_process("-c", code)
    assert done.returncode == 10, done.stderr
    assert "does-not-fit" in done.stdout and "no batch fits" in done.stdout
