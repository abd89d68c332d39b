"""Whether weights fit: state dicts of the libraries themselves against targets, one diagnosis for each cause."""

import copyreg
import json
import re
from functools import cache

import numpy
import pytest
import torch
from helpers.commands import call, python_process
from helpers.everything import RARELY
from helpers.targets import library_target
from safetensors.torch import save_file

from vit_trace.config import ViTConfig
from vit_trace.render.codes import MEANINGS as CODES
from vit_trace.targets.builtin import builtin
from vit_trace.vit import ViT
from vit_trace.weights import Checkpoint, Entry, read
from vit_trace.weights.describe import description_of
from vit_trace.weights.fit import fit
from vit_trace.weights.holding import config_text, holding
from vit_trace.weights.published import FAMILIES

copyreg._slotnames(torch.Tensor)  # kept on the class by whoever pickles the first tensor

SMALL = dict(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=5)
HF = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96, image_size=32, patch_size=8)
OWN = dict(image_size=32, patch_size=8, num_classes=5, dim=24, depth=2, heads=3, dim_head=8, mlp_dim=96)


def state(model) -> dict[str, Entry]:
    values = model if isinstance(model, dict) else model.state_dict()
    return {name: Entry(tuple(value.shape), str(value.dtype)[6:]) for name, value in values.items()}


def timm_state(name="vit_base_patch16_224", **changes):
    import timm

    with torch.device("meta"):
        return state(timm.create_model(name, **SMALL | changes))


def hf_state(name="ViTForImageClassification", config="ViTConfig", **changes):
    import transformers

    with torch.device("meta"):
        return state(getattr(transformers, name)(getattr(transformers, config)(**HF | {"num_labels": 5} | changes)))


def torchvision_state(**changes):
    from torchvision.models import VisionTransformer

    sizes = dict(image_size=32, patch_size=8, num_layers=2, num_heads=3, hidden_dim=24, mlp_dim=96, num_classes=5)
    with torch.device("meta"):
        return state(VisionTransformer(**sizes | changes))


def own_state(**changes):
    with torch.device("meta"):
        return state(ViT(**OWN | changes))


def vit_pytorch_state(**changes):
    from vit_pytorch import ViT as Theirs

    with torch.device("meta"):
        return state(Theirs(**OWN | changes))


def jax_state() -> dict[str, Entry]:
    """The original ViT's names and shapes (github.com/google-research/vision_transformer), as its .npz have them."""
    found = {
        "cls": (1, 1, 24),
        "embedding/kernel": (8, 8, 3, 24),
        "embedding/bias": (24,),
        "Transformer/posembed_input/pos_embedding": (1, 17, 24),
        "Transformer/encoder_norm/scale": (24,),
        "Transformer/encoder_norm/bias": (24,),
        "head/kernel": (24, 5),
        "head/bias": (5,),
    }
    for layer in range(2):
        base = f"Transformer/encoderblock_{layer}"
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            found |= {f"{base}/{norm}/scale": (24,), f"{base}/{norm}/bias": (24,)}
        attention = f"{base}/MultiHeadDotProductAttention_1"
        for part in ("query", "key", "value"):
            found |= {f"{attention}/{part}/kernel": (24, 3, 8), f"{attention}/{part}/bias": (3, 8)}
        found |= {f"{attention}/out/kernel": (3, 8, 24), f"{attention}/out/bias": (24,)}
        found |= {f"{base}/MlpBlock_3/Dense_0/kernel": (24, 96), f"{base}/MlpBlock_3/Dense_0/bias": (96,)}
        found |= {f"{base}/MlpBlock_3/Dense_1/kernel": (96, 24), f"{base}/MlpBlock_3/Dense_1/bias": (24,)}
    return {name: Entry(shape) for name, shape in found.items()}


def prefixed(prefix: str, entries: dict[str, Entry]) -> dict[str, Entry]:
    return {prefix + name: entry for name, entry in entries.items()}


def without(entries: dict[str, Entry], pattern: str) -> dict[str, Entry]:
    return {name: entry for name, entry in entries.items() if not re.search(pattern, name)}


def renamed(entries: dict[str, Entry], *pairs: tuple[str, str]) -> dict[str, Entry]:
    for old, new in pairs:
        entries = {re.sub(old, new, name): entry for name, entry in entries.items()}
    return entries


def unfused(entries: dict[str, Entry]) -> dict[str, Entry]:
    """q, k and v apart, under timm's names for that."""
    found = {}
    for name, entry in entries.items():
        for part in "qkv" if ".qkv." in name else "":
            found[name.replace("qkv", f"{part}_proj")] = Entry((entry.shape[0] // 3, *entry.shape[1:]))
        if ".qkv." not in name:
            found[name] = entry
    return found


@cache
def targets():
    timm = [f"{name}={value}" for name, value in SMALL.items()]
    hf = [f"{name}={value}" for name, value in HF.items()]
    swin = ("embed_dim=24", "depths=(1,2)", "num_heads=(3,6)", "img_size=64", "window_size=4", "num_classes=5")
    tv = ("image_size=32", "num_classes=5")
    own = ViTConfig(**{**OWN, "image_size": (32, 32), "patch_size": (8, 8)})
    return {
        "timm": library_target("timm:vit_base_patch16_224", timm),
        "timm reg": library_target("timm:vit_base_patch16_224", [*timm, "reg_tokens=4"]),
        "timm dist": library_target("timm:deit_base_distilled_patch16_224", timm),
        "beit": library_target("timm:beit_base_patch16_224", timm),
        "hf": library_target("hf:ViTForImageClassification", [*hf, "num_labels=5"]),
        "hf base": library_target("hf:ViTModel", hf),
        "dinov2": library_target("hf:Dinov2Model", [one for one in hf if "intermediate" not in one]),
        "swin": library_target("timm:swin_tiny_patch4_window7_224", swin),
        "tv": library_target("torchvision:vit_b_32", tv),
        "own": builtin(own),
    }


def swin_state(**changes):
    import timm

    sizes = dict(embed_dim=24, depths=(1, 2), num_heads=(3, 6), img_size=64, window_size=4, num_classes=5)
    with torch.device("meta"):
        return state(timm.create_model("swin_tiny_patch4_window7_224", **sizes | changes))


def found(entries, target: str, config=None):
    return fit(Checkpoint("x.pt", "torch", entries, config=config), targets()[target])


GOOD = {
    "timm": (timm_state, "timm"),
    "timm reg": (lambda: timm_state(reg_tokens=4), "timm reg"),
    "timm dist": (lambda: timm_state("deit_base_distilled_patch16_224"), "timm dist"),
    "beit": (lambda: timm_state("beit_base_patch16_224"), "beit"),
    "hf": (hf_state, "hf"),
    "swin": (swin_state, "swin"),
    "own": (own_state, "own"),
    "torchvision": (lambda: torchvision_state(patch_size=32, **TV), "tv"),
    "half": (lambda: {name: Entry(one.shape, "bfloat16") for name, one in timm_state().items()}, "timm"),
}
TV = dict(num_layers=12, num_heads=12, hidden_dim=768, mlp_dim=3072)


@pytest.mark.parametrize("name", GOOD)
def test_what_fits_is_said_nothing_of(name):
    make, target = GOOD[name]
    assert found(make(), target) == []


BAD = {
    "image": (lambda: timm_state(img_size=64), "timm", {"checkpoint-image-size"}, "for 64×64 .*65 pos.* 32×32 .17."),
    "image, not square": (lambda: timm_state(img_size=(32, 64)), "timm", {"checkpoint-image-size"}, "33 positions"),
    "patch": (lambda: timm_state(patch_size=16), "timm", {"checkpoint-patch"}, "patch 16.* patch 8"),
    "patch, same grid": (lambda: timm_state(patch_size=16, img_size=64), "timm", {"checkpoint-patch"}, "patch 16"),
    "width": (lambda: timm_state(embed_dim=48), "timm", {"checkpoint-width"}, "48 wide.* 24"),
    "depth": (lambda: timm_state(depth=3), "timm", {"checkpoint-depth"}, "3 layers.* 2"),
    "mlp": (lambda: timm_state(mlp_ratio=3), "timm", {"checkpoint-mlp"}, "72 wide.* 96"),
    "channels": (lambda: timm_state(in_chans=1), "timm", {"checkpoint-channels"}, "1 channel.* 3"),
    "classes": (lambda: timm_state(num_classes=7), "timm", {"checkpoint-classes"}, "7 classes.* 5"),
    "no head": (lambda: timm_state(num_classes=0), "timm", {"checkpoint-no-head"}, "head.weight, head.bias"),
    "registers": (lambda: timm_state(reg_tokens=4), "timm", {"checkpoint-tokens"}, "4 register tokens"),
    "fewer registers": (timm_state, "timm reg", {"checkpoint-tokens"}, "no register tokens, this model 4"),
    "distillation": (lambda: timm_state("deit_base_distilled_patch16_224"), "timm", {"checkpoint-tokens"}, "distill"),
    "no distillation": (timm_state, "timm dist", {"checkpoint-tokens"}, "no distillation"),
    "pool": (lambda: timm_state(global_pool="avg"), "timm", {"checkpoint-pool"}, "mean"),
    "module.": (lambda: prefixed("module.", timm_state()), "timm", {"checkpoint-prefix"}, "start with module.,"),
    "model.": (lambda: prefixed("model.", own_state()), "own", {"checkpoint-prefix"}, "start with model.,"),
    "_orig_mod.": (lambda: prefixed("_orig_mod.", swin_state()), "swin", {"checkpoint-prefix"}, "_orig_mod."),
    "two": (lambda: prefixed("module._orig_mod.", hf_state()), "hf", {"checkpoint-prefix"}, "module._orig_mod.,"),
    "backbone.": (
        lambda: prefixed("backbone.", timm_state(num_classes=0)),
        "timm",
        {"checkpoint-prefix", "checkpoint-no-head"},
        "backbone.",
    ),
    "unfused": (lambda: unfused(timm_state()), "timm", {"checkpoint-qkv"}, "three tensors, this model as one"),
    "timm in transformers": (timm_state, "hf", {"checkpoint-naming"}, "timm, this model as in transformers"),
    "transformers in timm": (hf_state, "timm", {"checkpoint-naming"}, "transformers, this model as in timm"),
    "torchvision in timm": (torchvision_state, "timm", {"checkpoint-naming"}, "torchvision, .* timm"),
    "JAX in timm": (jax_state, "timm", {"checkpoint-naming"}, "JAX"),
    "JAX in transformers": (jax_state, "hf", {"checkpoint-naming"}, "JAX"),
    "another image in another library": (
        lambda: hf_state(image_size=64),
        "timm",
        {"checkpoint-naming", "checkpoint-image-size"},
        "65 positions",
    ),
    "vit-pytorch of today in the classic one": (
        vit_pytorch_state,
        "own",
        {"checkpoint-naming", "checkpoint-missing", "checkpoint-unexpected"},
        "vit-pytorch, this model as in the classic",
    ),
    "BEiT's image": (
        lambda: timm_state("beit_base_patch16_224", img_size=64),
        "beit",
        {"checkpoint-image-size"},
        "64×64 .* 8×8 patches.*4×4",
    ),
    "a position of the class token": (
        lambda: timm_state(no_embed_class=True),
        "timm",
        {"checkpoint-tokens"},
        "none besides those of the 4×4 patches, this model 1",
    ),
    "own image": (lambda: own_state(image_size=64), "own", {"checkpoint-image-size"}, "64×64"),
    "own heads": (lambda: own_state(heads=4), "own", {"checkpoint-inner"}, "32 wide"),
    "own patch": (lambda: own_state(patch_size=4), "own", {"checkpoint-patch"}, "patch 4"),
    "own channels": (lambda: own_state(channels=1), "own", {"checkpoint-channels"}, "1 channel"),
    "swin depth": (lambda: swin_state(depths=(1, 4)), "swin", {"checkpoint-depth"}, "4 layers in layers.1.blocks"),
    "swin window": (lambda: swin_state(window_size=8), "swin", {"checkpoint-window"}, "window 8 against 4"),
    "swin width": (lambda: swin_state(embed_dim=48), "swin", {"checkpoint-width"}, "48 where this model has 24"),
    "swin classes": (lambda: swin_state(num_classes=9), "swin", {"checkpoint-classes"}, "9 classes"),
    "swin in ViT": (swin_state, "timm", {"checkpoint-model"}, "another model"),
    "missing": (lambda: without(timm_state(), r"qkv\.bias"), "timm", {"checkpoint-missing"}, r"0…1\.attn\.qkv\.bias"),
    "unexpected": (lambda: timm_state(init_values=0.1), "timm", {"checkpoint-unexpected"}, r"ls1\.gamma"),
    "quantised": (
        lambda: {n: Entry(one.shape, "int8") for n, one in timm_state().items()},
        "timm",
        {"checkpoint-dtype"},
        "int8",
    ),
    "three at once": (
        lambda: prefixed("module.", timm_state(img_size=64, depth=3, num_classes=7)),
        "timm",
        {"checkpoint-prefix", "checkpoint-image-size", "checkpoint-depth", "checkpoint-classes"},
        "65 positions",
    ),
    "width and image": (
        lambda: timm_state(img_size=64, embed_dim=48),
        "timm",
        {"checkpoint-image-size", "checkpoint-width"},
        "48 wide",
    ),
}
WARNINGS = {"checkpoint-classes", "checkpoint-no-head", "checkpoint-dtype"}


@pytest.mark.parametrize("name", BAD)
def test_one_diagnosis_for_each_cause(name):
    make, target, codes, words = BAD[name]
    diagnostics = found(make(), target)
    assert {one.code for one in diagnostics} == codes and len(diagnostics) == len(codes)
    assert re.search(words, "\n".join((*(one.message for one in diagnostics), *diagnostics[0].notes)))
    for one in diagnostics:
        assert one.code in CODES
        assert one.severity == ("warning" if one.code in WARNINGS else "error")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("vit_small_patch16_224", ["timm:vit_tiny_patch16_224, all hyperparameters equal"]),
        ("vit_tiny_patch16_384", ["timm:vit_tiny_patch16_224, all hyperparameters equal"]),
        ("vit_tiny_patch16_224", []),
    ],
)
def test_the_published_model_of_the_checkpoint_is_named_where_another_was_meant(target, says):
    import timm

    with torch.device("meta"):
        entries = state(timm.create_model("vit_tiny_patch16_224"))
    diagnostics = fit(Checkpoint("x", "torch", entries), library_target(f"timm:{target}"))
    assert [note.removeprefix("checkpoint: ") for one in diagnostics for note in one.notes if "timm:" in note] == says


SET = re.compile(r"^set (.*) \(tried")
SETTABLE = [
    name
    for name, case in BAD.items()
    if not case[2] & {"checkpoint-naming", "checkpoint-prefix", "checkpoint-qkv", "checkpoint-missing"}
]


@pytest.mark.parametrize("name", SETTABLE)
def test_what_is_said_to_be_tried_does_help(name):
    """Set all that is offered: then the checkpoint fits, by a state dict of the model that is really built."""
    make, target, _, _ = BAD[name]
    entries = make()
    changes = {}
    for one in found(entries, target):
        for help in one.help:
            if match := SET.match(help):
                pairs = (word.split(" ") for word in match[1].split(", "))
                changes |= {
                    key: float(text) if "." in text else int(text) if text.isdigit() else text for key, text in pairs
                }
    if changes and "x" not in str(changes):
        assert fit(Checkpoint("x", "torch", entries), targets()[target].variant(changes)) == []


def test_interpolation_is_offered_with_both_grids():
    (one,) = found(timm_state(img_size=64), "timm")
    assert one.help == (
        "interpolate pos_embed 8×8 → 4×4, its first row kept",
        "set img_size 64 (tried: every tensor fits)",
        "vit_trace.load_state_dict(model, 'x.pt') does this: resize pos_embed (tried: it loads with strict=True)",
    )


def test_heads_that_only_a_config_or_jax_tells():
    entries = timm_state()
    assert found(entries, "timm", {"num_heads": 3}) == []
    (one,) = found(entries, "timm", {"num_heads": 6})
    assert (one.code, one.severity) == ("checkpoint-heads", "error")
    jax = {
        name: Entry((24, 6, 4) if "query" in name and len(e.shape) == 3 else e.shape) for name, e in jax_state().items()
    }
    assert {one.code for one in found(jax, "timm")} == {"checkpoint-naming", "checkpoint-heads"}


def test_transformers_saves_under_other_names_which_fit_too(tmp_path):
    import transformers

    model = transformers.ViTForImageClassification(transformers.ViTConfig(**HF, num_labels=5))
    model.save_pretrained(tmp_path)
    saved = read(tmp_path)
    assert saved.entries.keys() != model.state_dict().keys()
    (one,) = fit(saved, targets()["hf"])
    assert (one.severity, "from_pretrained knows them" in one.message) == ("warning", True)
    assert description_of(saved).heads == 3


def test_the_base_model_into_one_with_a_head_and_back():
    notes = found(hf_state("ViTModel"), "hf")
    assert [(one.code, one.severity) for one in notes if one.code == "checkpoint-prefix"] == [
        ("checkpoint-prefix", "note")
    ]
    assert all(one.severity != "error" for one in notes)


# -- what a file holds -----------------------------------------------------------------------------------------------

SIZES = (2, 24, 96, 3, (8, 8), (32, 32), 5)
HOLDS = {
    "timm": timm_state,
    "transformers": hf_state,
    "torchvision": torchvision_state,
    "the classic vit-pytorch": own_state,
    "vit-pytorch": vit_pytorch_state,
    "the original JAX ViT": jax_state,
}


@pytest.mark.parametrize("library", HOLDS)
@pytest.mark.parametrize("prefix", ["", "module.", "student.backbone."])
def test_what_a_checkpoint_holds(library, prefix):
    entries = prefixed(prefix if "JAX" not in library else prefix.replace(".", "/"), HOLDS[library]())
    model = description_of(Checkpoint("x", "torch", entries))
    assert model.library == library
    sizes = (model.depth, model.dim, model.mlp_dim, model.channels, model.patch, model.image, model.classes)
    assert sizes == SIZES
    assert model.heads == (3 if "JAX" in library else None) and "heads" in model.how


@pytest.mark.parametrize(
    "name", ["swin_tiny_patch4_window7_224", "hiera_tiny_224", "xcit_nano_12_p16_224", "convnext_tiny", "mvitv2_tiny"]
)
def test_other_architectures_are_not_taken_for_a_plain_vit(name):
    import timm

    with torch.device("meta"):
        assert description_of(Checkpoint("x", "torch", state(timm.create_model(name)))) is None


def test_the_written_config_fits_its_checkpoint(tmp_path, capfd):
    torch.save(ViT(**OWN).state_dict(), tmp_path / "own.pt")
    import timm

    save_file(timm.create_model("vit_base_patch16_224", **SMALL).state_dict(), tmp_path / "timm.safetensors")
    for weights, config in ((tmp_path / "own.pt", "model.yaml"), (tmp_path / "timm.safetensors", "config.json")):
        run = call(capfd, "check", "--checkpoint", weights, "-o", tmp_path / config)
        assert run.code == 0, run.err
        run = call(capfd, "check", tmp_path / config, "--checkpoint", weights, "--format", "json")
        report = json.loads(run.out)
        assert run.code == 0, run.out
        assert not [one for one in report["configs"][0]["diagnostics"] if one["code"].startswith("checkpoint")]
    run = call(capfd, "check", "--checkpoint", tmp_path / "timm.safetensors", "-o", tmp_path / "no.yaml")
    assert run.code == 2 and "config.json only" in run.err and not (tmp_path / "no.yaml").exists()


def test_the_verb(tmp_path, capfd):
    torch.save({"model": ViT(**OWN).state_dict()}, tmp_path / "own.pt")
    run = call(capfd, "check", "--checkpoint", tmp_path / "own.pt")
    assert run.code == 0 and run.out.startswith(f"{tmp_path}/own.pt['model'] · torch · ")
    config = tmp_path / "m.yaml"
    config.write_text("".join(f"{name}: {value}\n" for name, value in {**OWN, "image_size": 64}.items()))
    run = call(capfd, "check", config, "--checkpoint", tmp_path / "own.pt", "--format", "concise")
    assert run.code == 1
    assert f"{config}:1:13: error[checkpoint-image-size]: checkpoint was made for 32×32" in run.out
    run = call(capfd, "check", config, "--checkpoint", tmp_path / "none.pt", "--format", "concise")
    assert run.code == 2 and "error[checkpoint-unreadable]" in run.out


def test_describing_needs_no_torch(tmp_path):
    save_file({name: torch.zeros(one.shape) for name, one in timm_state().items()}, tmp_path / "x.safetensors")
    numpy.savez(tmp_path / "x.npz", **{name: numpy.zeros(one.shape, "f4") for name, one in jax_state().items()})
    script = (
        "import sys\nfrom vit_trace.__main__ import main\n"
        "sys.argv = ['vit-trace', 'check', '--checkpoint', sys.argv[1]]\n"
        "try:\n    main()\nfinally:\n    assert not {'torch', 'numpy', 'safetensors'} & set(sys.modules)\n"
    )
    for name in ("x.safetensors", "x.npz"):
        run = python_process("-c", script, tmp_path / name)
        assert "named as in" in run.stdout and "Error" not in run.stderr, run.stderr


BUILT = [
    {},
    {"reg_tokens": 4},
    {"reg_tokens": 4, "no_embed_class": True, "init_values": 0.1},
    {"no_embed_class": True},
    {"class_token": False, "global_pool": "avg"},
    {"class_token": False, "global_pool": "avg", "fc_norm": False},
    {"global_pool": "avg"},
    {"init_values": 0.1, "num_classes": 0},
    {"qk_norm": True},
    {"pre_norm": True},
    {"qkv_bias": False, "in_chans": 1},
    {"mlp_ratio": 2.5},
]


@pytest.mark.parametrize("changes", BUILT, ids=str)
def test_a_spec_that_builds_the_model_is_given(changes, tmp_path):
    checkpoint = Checkpoint("x", "torch", timm_state(**changes))
    held = holding(checkpoint)
    spec, *words = held.spec
    assert fit(checkpoint, library_target(spec, [word for word in words if word != "--set"])) == []
    (tmp_path / "config.json").write_text(config_text(held, ".json"))
    assert fit(checkpoint, library_target(str(tmp_path / "config.json"))) == []


@pytest.mark.parametrize("name", ["beit_base_patch16_224", "vit_base_patch16_rope_224", "eva02_tiny_patch14_224"])
def test_no_spec_is_given_where_it_would_build_another_model(name):
    import timm

    with torch.device("meta"):
        held = holding(Checkpoint("x", "torch", state(timm.create_model(name, depth=1))))
    assert held.spec is None and held.published is None


PUBLISHED = [name for names in FAMILIES.values() for name in names.split()]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("vit_small_patch16_384", "deit3_small_patch16_224") else RARELY)
        for name in PUBLISHED
    ],
)
def test_the_nearest_published_model_comes_first(name):
    import timm

    name = name.removesuffix("_518")
    with torch.device("meta"):
        checkpoint = Checkpoint("x", "torch", state(timm.create_model(name)))
    held = holding(checkpoint)
    assert held.published == f"timm:{name}, all hyperparameters equal"
    if held.spec is not None:
        assert fit(checkpoint, library_target(held.spec[0], held.spec[2::2])) == []


def test_what_differs_from_the_nearest_published_model_is_said():
    import timm

    with torch.device("meta"):
        model = timm.create_model("vit_tiny_patch16_224", img_size=256, num_classes=5)
        swin = timm.create_model("swin_tiny_patch4_window7_224", window_size=8, img_size=256)
    held = holding(Checkpoint("x", "torch", state(model)))
    assert held.published == "nearest to timm:vit_tiny_patch16_224: image 256 instead of 224, classes 5 instead of 1000"
    assert held.spec == ("timm:vit_tiny_patch16_224", "--set", "img_size=256", "--set", "num_classes=5")
    held = holding(Checkpoint("x", "torch", state(swin)))
    assert held.published == "nearest to timm:swin_tiny_patch4_window7_224: window 8 instead of 7"
