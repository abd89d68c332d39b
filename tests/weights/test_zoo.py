"""Checkpoints of real training runs: verdict, cause, and the remedy, applied with torch alone and strict=True."""

import importlib
import json
import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pytest
import torch
import zoo
from helpers.targets import library_target
from omegaconf import OmegaConf
from torch import nn
from zoo import Saved, saved

import vit_trace
from vit_trace.base.refused import Refused
from vit_trace.base.trace import json_bytes
from vit_trace.weights import read
from vit_trace.weights.fit import judged
from vit_trace.weights.holding import holding
from vit_trace.weights.loading import made
from vit_trace.weights.mapping import Move, Part, Resize


def words(values: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{name}={value}".replace(" ", "") for name, value in values.items())


BARE = zoo.SIZES | {"num_classes": 0}
LABELS = zoo.HF | {"num_labels": 5}
SAM = dict(img_size=64, patch_size=8, embed_dim=24, depth=2, num_heads=3, neck_chans=16)
HF_SWIN = dict(embed_dim=24, depths="[1,2]", num_heads="[3,6]", image_size=64, window_size=4, num_labels=5)
TARGETS = {
    "timm": ("timm:vit_base_patch16_224", words(zoo.SIZES)),
    "timm bare": ("timm:vit_base_patch16_224", words(BARE)),
    "timm 7 classes": ("timm:vit_base_patch16_224", words(zoo.SIZES | {"num_classes": 7})),
    "timm scaled": ("timm:vit_base_patch16_224", words(BARE | {"init_values": 0.1})),
    "timm 64": ("timm:vit_base_patch16_224", words(zoo.SIZES | {"img_size": 64})),
    "timm 12 wide": ("timm:vit_base_patch16_224", words(zoo.SIZES | {"embed_dim": 12})),
    "timm deep": ("timm:vit_base_patch16_224", words(zoo.SIZES | {"depth": 3})),
    "timm reg": ("timm:vit_base_patch16_224", words(zoo.SIZES | {"reg_tokens": 4})),
    "timm dist": ("timm:deit_base_distilled_patch16_224", words(zoo.SIZES)),
    "beit": ("timm:beit_base_patch16_224", words(zoo.SIZES)),
    "beit 64": ("timm:beit_base_patch16_224", words(zoo.SIZES | {"img_size": 64})),
    "swin": ("timm:swin_tiny_patch4_window7_224", words(zoo.SWIN)),
    "swin 8": ("timm:swin_tiny_patch4_window7_224", words(zoo.SWIN | {"window_size": 8})),
    "sam": ("timm:samvit_base_patch16", words(SAM)),
    "hf": ("hf:ViTForImageClassification", words(LABELS)),
    "hf bare": ("hf:ViTModel", words(zoo.HF)),
    "hf mae": ("hf:ViTMAEForPreTraining", words(zoo.HF | zoo.MAE_HF)),
    "hf deit": ("hf:DeiTForImageClassificationWithTeacher", words(LABELS)),
    "hf beit": (
        "hf:BeitForImageClassification",
        words(LABELS | {"use_relative_position_bias": True, "layer_scale_init_value": 0.1}),
    ),
    "hf beit one table": (
        "hf:BeitForImageClassification",
        words(LABELS | {"use_shared_relative_position_bias": True, "layer_scale_init_value": 0.1}),
    ),
    "timm dinov3": ("timm:vit_small_patch16_dinov3_qkvb", words(zoo.SIZES | zoo.DINOV3)),
    "wrapped": (f"{Path(__file__).parent / 'wrapped.py'}:Wrapped", ()),
    "hf clip": ("hf:CLIPVisionModelWithProjection", words(zoo.CLIP_HF)),
    "timm clip": (
        "timm:vit_base_patch16_clip_224",
        words(dict(img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=4, num_classes=32)),
    ),
    "convnext": ("timm:convnext_tiny", words(zoo.CONVNEXT)),
    "convnext v2": ("timm:convnextv2_tiny", words(zoo.CONVNEXT)),
    "hf convnext": (
        "hf:ConvNextForImageClassification",
        words(dict(depths="[1,1,1,1]", hidden_sizes="[8,16,24,32]", num_labels=5)),
    ),
    "swin v2": ("timm:swinv2_tiny_window8_256", words(zoo.SWIN)),
    "siglip": ("timm:vit_base_patch16_siglip_224", words(BARE)),
    "hf siglip": ("hf:SiglipVisionModel", words(zoo.HF)),
    "hf swin": ("hf:SwinForImageClassification", words(HF_SWIN)),
    "hf dinov2": ("hf:Dinov2Model", words({name: v for name, v in zoo.HF.items() if name != "intermediate_size"})),
}


@cache
def target(name: str):
    return library_target(TARGETS[name][0], TARGETS[name][1])


class Case(NamedTuple):
    """`codes` are what is found, notes apart; `same` is the model whose features the loaded one has to compute.

    `loads` is whether a remedy loads the checkpoint whole; `says` a text that is told.
    """

    save: Saved
    target: str
    codes: str = ""
    loads: bool = True
    says: str = ""
    same: Any = None
    key: str = ""


def in_model(values: Any, **how: Any) -> Saved:
    return saved(lambda: {"model": values(), "args": zoo.NAMESPACE, "epoch": 3}, **how)


hf = zoo.hf
ONE_TABLE = dict(use_rel_pos_bias=False, use_shared_rel_pos_bias=True)
BEIT_HF = dict(use_relative_position_bias=True, use_mean_pooling=True, layer_scale_init_value=0.1)
SWIN_HF = dict(HF_SWIN, depths=(1, 2), num_heads=(3, 6))
SWIN_V2 = dict(embed_dim=24, depths=(1, 2), num_heads=(3, 6), image_size=64, window_size=4)
CONVNEXT = dict(depths=(1, 1, 1, 1), hidden_sizes=(8, 16, 24, 32))
YOLOS = dict(num_detection_tokens=5, image_size=(32, 32))
NAMES, PREFIX, PARTS, GLOBALS = "naming", "prefix", "parts", "globals"

CASES = {
    # -- as training scripts save --
    "timm's CheckpointSaver": Case(
        saved(lambda: {"epoch": 1, "arch": "x", "state_dict": zoo.vit(), "args": zoo.NAMESPACE, "version": 2}),
        "timm",
        GLOBALS,
        says="safe_globals([argparse.Namespace, pathlib.PosixPath])",
        same=zoo.timm,
    ),
    "MAE fine-tuned": Case(in_model(zoo.vit), "timm", GLOBALS, says="argparse.Namespace"),
    "Namespace, protocol 3": Case(in_model(zoo.vit, pickle_protocol=3), "timm", GLOBALS, says="safe_globals"),
    "Namespace, before 1.6": Case(in_model(zoo.vit, _use_new_zipfile_serialization=False), "timm", GLOBALS),
    "NumPy scalar": Case(saved(lambda: {"model": zoo.vit(), "best": numpy.float64(1)}), "timm", GLOBALS),
    "NumPy array": Case(saved(lambda: {"model": zoo.vit(), "mean": numpy.zeros(3, "f4")}), "timm", GLOBALS),
    "a date": Case(
        saved(lambda: {"model": zoo.vit(), "at": __import__("datetime").datetime(2024, 1, 1)}), "timm", GLOBALS
    ),
    "OmegaConf": Case(
        saved(lambda: {"state_dict": zoo.vit(), "cfg": OmegaConf.create({"a": {"b": [1]}})}), "timm", GLOBALS
    ),
    "model and EMA": Case(
        saved(lambda: {"model": zoo.vit(), "model_ema": zoo.vit(), "optimizer": zoo.optimizer()}),
        "timm",
        says="--key model_ema takes that one instead",
    ),
    "EMA by --key": Case(saved(lambda: {"model": {}, "model_ema": zoo.vit()}), "timm", key="model_ema"),
    "a prefix by --key": Case(
        saved(lambda: zoo.prefixed("a.", zoo.vit()) | zoo.prefixed("b.", zoo.vit())),
        "timm",
        PREFIX,
        key="b",
        same=zoo.timm,
    ),
    "safetensors": Case(lambda folder: zoo.save_safetensors(folder, zoo.vit()), "timm", same=zoo.timm),
    "DDP": Case(saved(lambda: zoo.prefixed("module.", zoo.vit())), "timm", PREFIX, same=zoo.timm),
    "torch.compile": Case(saved(lambda: zoo.prefixed("_orig_mod.", zoo.vit())), "timm", PREFIX, same=zoo.timm),
    "Lightning": Case(
        saved(lambda: {"state_dict": zoo.prefixed("model.", zoo.vit()), "hyper_parameters": {"lr": 1}, "loops": {}}),
        "timm",
        PREFIX,
    ),
    "Lightning with metrics": Case(
        saved(lambda: zoo.prefixed("model.", zoo.vit()) | {"criterion.weight": torch.ones(5)}),
        "timm",
        f"{PREFIX} {PARTS}",
        same=zoo.timm,
    ),
    "FSDP's wrappers": Case(
        saved(lambda: zoo.renamed(zoo.vit(), (r"blocks\.(\d)\.", r"blocks.\1._fsdp_wrapped_module."))),
        "timm",
        PREFIX,
        says="_fsdp_wrapped_module",
        same=zoo.timm,
    ),
    "recomputed blocks": Case(
        saved(lambda: zoo.renamed(zoo.vit(), (r"blocks\.(\d)\.", r"blocks.\1._checkpoint_wrapped_module."))),
        "timm",
        PREFIX,
        same=zoo.timm,
    ),
    "half precision": Case(saved(lambda: {n: v.half() for n, v in zoo.vit().items()}), "timm"),
    "a scalar beside": Case(saved(lambda: zoo.vit() | {"logit_scale": torch.tensor(1.0)}), "timm", "unexpected"),
    # -- heads --
    "head named classifier": Case(
        saved(lambda: zoo.renamed(zoo.vit(), ("^head", "classifier"))), "timm", NAMES, same=zoo.timm
    ),
    "head named heads": Case(saved(lambda: zoo.renamed(zoo.vit(), ("^head", "heads"))), "timm", NAMES, same=zoo.timm),
    "head named head.1": Case(saved(lambda: zoo.renamed(zoo.vit(), ("^head", "head.1"))), "timm", NAMES),
    "head named fc": Case(saved(lambda: zoo.renamed(zoo.vit(), ("^head", "fc"))), "timm", NAMES),
    "MLP head": Case(
        saved(
            lambda: (
                zoo.bare()
                | {
                    "head.0.weight": torch.ones(48, 24),
                    "head.0.bias": torch.ones(48),
                    "head.2.weight": torch.ones(5, 48),
                }
            )
        ),
        "timm",
        f"no-head {PARTS}",
    ),
    "quantised by torch.ao": Case(
        saved(zoo.quantised), "timm", "dtype", loads=False, says="in 9 layers, blocks.0.attn.qkv"
    ),
    "other classes": Case(saved(zoo.vit), "timm 7 classes", "classes"),
    "no head": Case(saved(zoo.bare), "timm", "no-head"),
    "head too many": Case(saved(zoo.vit), "timm bare", "no-head"),
    # -- self-supervised --
    "DINO": Case(
        saved(lambda: {"student": zoo.dino("module."), "teacher": zoo.dino(""), "args": zoo.NAMESPACE, "epoch": 1}),
        "timm bare",
        f"{PREFIX} {PARTS} {GLOBALS}",
        says="took ['teacher'] and left out student",
    ),
    "DINO's student": Case(
        saved(lambda: {"student": zoo.dino("module."), "teacher": zoo.dino("")}),
        "timm bare",
        f"{PREFIX} {PARTS}",
        key="student",
    ),
    "DINOv2, trained": Case(
        saved(lambda: {"model": zoo.dinov2("student.") | zoo.dinov2("teacher."), "iteration": 4}),
        "timm bare",
        f"{NAMES} {PARTS}",
        says="student. (37 tensors), beside teacher.",
    ),
    "DINOv2's teacher": Case(
        saved(lambda: {"teacher": zoo.dinov2("")}), "timm bare", f"{NAMES} {PARTS}", says="dino_head."
    ),
    "the original DINOv3": Case(
        saved(zoo.dinov3),
        "timm dinov3",
        f"{NAMES} buffers unexpected",
        same=lambda: zoo.timm("vit_small_patch16_dinov3_qkvb", **zoo.DINOV3),
        says="the original DINOv3",
    ),
    "MoCo v3": Case(
        saved(lambda: {"state_dict": zoo.moco(), "optimizer": zoo.optimizer()}),
        "timm bare",
        f"{PREFIX} {PARTS}",
        says="module.momentum_encoder.",
    ),
    "MAE with decoder": Case(
        in_model(zoo.mae), "timm bare", f"{PARTS} {GLOBALS}", says="hf:ViTMAEForPreTraining has a place"
    ),
    "MAE in transformers": Case(saved(zoo.mae), "hf mae", NAMES),
    "MAE of transformers": Case(
        saved(lambda: zoo.state(hf("ViTMAEForPreTraining", "ViTMAEConfig", **zoo.MAE_HF))),
        "timm bare",
        f"{NAMES} {PARTS}",
    ),
    "mask token": Case(
        saved(lambda: zoo.vit() | {"mask_token": torch.zeros(1, 1, 24)}), "timm", "unexpected", says="mask_token"
    ),
    # -- other libraries' names --
    "timm in transformers": Case(saved(zoo.vit), "hf", NAMES, same=zoo.timm),
    "transformers in timm": Case(saved(lambda: zoo.state(hf())), "timm", NAMES, same=hf),
    "torchvision in timm": Case(saved(lambda: zoo.state(zoo.torchvision())), "timm", NAMES, same=zoo.torchvision),
    "JAX in timm": Case(zoo.save_npz, "timm", NAMES, same=zoo.timm),
    "JAX in transformers": Case(zoo.save_npz, "hf", NAMES, same=zoo.timm),
    "q_bias and v_bias": Case(saved(lambda: zoo.biases_apart(zoo.vit())), "timm", NAMES),
    "DeiT of transformers": Case(
        saved(lambda: zoo.state(hf("DeiTForImageClassificationWithTeacher", "DeiTConfig"))),
        "timm dist",
        NAMES,
        same=lambda: hf("DeiTForImageClassificationWithTeacher", "DeiTConfig"),
    ),
    "DeiT in transformers": Case(
        saved(lambda: zoo.state(zoo.timm("deit_base_distilled_patch16_224"))),
        "hf deit",
        NAMES,
        same=lambda: zoo.timm("deit_base_distilled_patch16_224"),
    ),
    "DeiT without distillation": Case(
        saved(lambda: zoo.state(zoo.timm("deit_base_distilled_patch16_224"))),
        "timm",
        "tokens",
        says="18 = 4·4 + 2 rows (class, distillation tokens), this model's 17",
    ),
    "BEiT of transformers": Case(
        saved(lambda: zoo.state(hf("BeitForImageClassification", "BeitConfig", **BEIT_HF))),
        "beit",
        NAMES,
        same=lambda: hf("BeitForImageClassification", "BeitConfig", **BEIT_HF),
    ),
    "BEiT in transformers": Case(
        saved(lambda: zoo.state(zoo.timm("beit_base_patch16_224"))),
        "hf beit",
        NAMES,
        same=lambda: zoo.timm("beit_base_patch16_224"),
    ),
    "BEiT, one table for all": Case(saved(zoo.shared_table), "beit", NAMES),
    "BEiT, one table for all, in transformers": Case(
        saved(lambda: zoo.state(zoo.timm("beit_base_patch16_224", **ONE_TABLE))),
        "hf beit one table",
        NAMES,
        same=lambda: zoo.timm("beit_base_patch16_224", **ONE_TABLE),
    ),
    "original Swin": Case(
        saved(lambda: {"model": zoo.original_swin()}), "swin", f"{NAMES} buffers", same=zoo.swin, says="original Swin"
    ),
    "original Swin, other window": Case(
        saved(zoo.original_swin), "swin 8", f"{NAMES} buffers window", says="window 4 against 8"
    ),
    "Swin of transformers": Case(
        saved(lambda: zoo.state(hf("SwinForImageClassification", "SwinConfig", **SWIN_HF))),
        "swin",
        NAMES,
        same=lambda: hf("SwinForImageClassification", "SwinConfig", **SWIN_HF),
    ),
    "Swin in transformers": Case(saved(lambda: zoo.state(zoo.swin())), "hf swin", NAMES, same=zoo.swin),
    "original Swin in transformers": Case(saved(zoo.original_swin), "hf swin", f"{NAMES} buffers", same=zoo.swin),
    "original SAM": Case(saved(zoo.original_sam), "sam", f"{NAMES} {PARTS}", same=zoo.sam),
    "YOLOS": Case(
        saved(
            lambda: zoo.state(hf("YolosForObjectDetection", "YolosConfig", num_detection_tokens=5, image_size=(32, 32)))
        ),
        "timm",
        f"{NAMES} {PARTS} tokens no-head",
        says="22 = 4·4 + 6 rows",
    ),
    "open_clip in transformers": Case(saved(lambda: zoo.state(zoo.clip())), "hf clip", f"{NAMES} {PARTS}"),
    "open_clip in timm": Case(
        saved(lambda: zoo.state(zoo.clip())), "timm clip", f"{NAMES} {PARTS} no-head unexpected", says="visual.proj"
    ),
    "CLIP of transformers": Case(
        saved(lambda: zoo.state(hf("CLIPVisionModelWithProjection", "CLIPVisionConfig", **zoo.CLIP_HF))),
        "timm clip",
        f"{NAMES} no-head unexpected",
    ),
    "ConvNeXt of transformers": Case(
        saved(lambda: zoo.state(hf("ConvNextForImageClassification", "ConvNextConfig", **CONVNEXT))),
        "convnext",
        NAMES,
        same=lambda: hf("ConvNextForImageClassification", "ConvNextConfig", **CONVNEXT),
    ),
    "ConvNeXt V2 of transformers": Case(
        saved(lambda: zoo.state(hf("ConvNextV2ForImageClassification", "ConvNextV2Config", **CONVNEXT))),
        "convnext v2",
        NAMES,
        same=lambda: hf("ConvNextV2ForImageClassification", "ConvNextV2Config", **CONVNEXT),
    ),
    "ConvNeXt in transformers": Case(
        saved(lambda: zoo.state(zoo.timm_convnext())), "hf convnext", NAMES, same=zoo.timm_convnext
    ),
    "ConvNeXt of torchvision": Case(
        saved(lambda: zoo.state(zoo.torchvision_convnext())), "convnext", NAMES, same=zoo.torchvision_convnext
    ),
    "original ConvNeXt": Case(
        saved(lambda: zoo.original_convnext("convnext_tiny")), "convnext", NAMES, same=zoo.timm_convnext
    ),
    "original ConvNeXt V2": Case(
        saved(zoo.original_convnext), "convnext v2", NAMES, same=lambda: zoo.timm_convnext("convnextv2_tiny")
    ),
    "Swin of torchvision": Case(
        saved(lambda: zoo.state(zoo.torchvision_swin())), "swin", f"{NAMES} buffers", same=zoo.torchvision_swin
    ),
    "Swin V2 of torchvision": Case(
        saved(lambda: zoo.state(zoo.torchvision_swin(True))),
        "swin v2",
        f"{NAMES} buffers",
        same=lambda: zoo.torchvision_swin(True),
    ),
    "Swin V2 of transformers": Case(
        saved(lambda: zoo.state(hf("Swinv2ForImageClassification", "Swinv2Config", **SWIN_V2))),
        "swin v2",
        NAMES,
        same=lambda: hf("Swinv2ForImageClassification", "Swinv2Config", **SWIN_V2),
    ),
    "SigLIP of transformers": Case(saved(lambda: zoo.state(zoo.siglip())), "siglip", NAMES, same=zoo.siglip),
    "SigLIP in transformers": Case(
        saved(lambda: zoo.state(zoo.timm("vit_base_patch16_siglip_224", num_classes=0))),
        "hf siglip",
        NAMES,
        same=lambda: zoo.timm("vit_base_patch16_siglip_224", num_classes=0),
    ),
    "iBOT": Case(
        saved(
            lambda: {"teacher": zoo.prefixed("backbone.", zoo.bare()) | {"backbone.masked_embed": torch.ones(1, 24)}}
        ),
        "timm bare",
        f"{PREFIX} unexpected",
        same=zoo.timm,
    ),
    "tokens of images to be predicted": Case(
        saved(lambda: zoo.bare() | {"lm_head.weight": torch.ones(81, 24), "lm_head.bias": torch.ones(81)}),
        "timm",
        f"{PARTS} no-head",
        says="lm_head. (2 tensors)",
    ),
    "DINOv2 of transformers, scaled": Case(
        saved(lambda: zoo.state(hf("Dinov2Model", "Dinov2Config"))),
        "timm scaled",
        f"{NAMES} unexpected",
        says="leave out embeddings.mask_token",
        same=lambda: hf("Dinov2Model", "Dinov2Config"),
    ),
    "DINOv2 of transformers": Case(
        saved(lambda: zoo.state(hf("Dinov2Model", "Dinov2Config"))), "timm bare", f"{NAMES} unexpected", loads=False
    ),
    # -- sizes --
    "another image": Case(saved(zoo.vit), "timm 64", "image-size", says="interpolate pos_embed 4×4 → 8×8"),
    "another image, other names": Case(saved(lambda: zoo.state(hf())), "timm 64", f"{NAMES} image-size"),
    "another window of BEiT": Case(
        saved(lambda: zoo.state(zoo.timm("beit_base_patch16_224"))), "beit 64", "image-size", says="8×8 patches"
    ),
    "another width": Case(saved(zoo.vit), "timm 12 wide", "width", loads=False),
    "another depth": Case(saved(zoo.vit), "timm deep", "depth", loads=False),
    "registers": Case(saved(lambda: zoo.state(zoo.timm(reg_tokens=4))), "timm", "tokens", False, "set reg_tokens 4"),
    "no registers": Case(saved(zoo.vit), "timm reg", "tokens", loads=False, says="no register tokens"),
    # -- PEFT, shards, distributed --
    "PEFT, whole, of another library": Case(
        saved(lambda: zoo.peft_model().state_dict()), "timm", "adapter", False, "save it merged: torch.save"
    ),
    "adapter": Case(zoo.save_adapter, "hf", "adapter", False, "rank 4, alpha 8 for q_proj, v_proj, not a whole model"),
    "adapter of another model": Case(zoo.save_adapter, "timm", "adapter", False, "it fits 0 of its 6 modules"),
    "PEFT, whole": Case(
        saved(lambda: zoo.peft_model().state_dict()), "hf", "adapter", False, "target_modules=['q_proj', 'v_proj']"
    ),
    "PEFT, merged": Case(saved(lambda: zoo.state(deepcopy(zoo.peft_model()).merge_and_unload())), "hf", same=None),
    "FSDP's directory": Case(zoo.save_distributed, "timm", "sharded", False, "took ['model'] and left out optimizer"),
    "shards": Case(zoo.save_sharded, "hf", NAMES, says="from_pretrained knows them", same=hf),
    # -- no weights --
    "a tuple of a state dict and more": Case(saved(lambda: (zoo.vit(), {"epoch": 1})), "timm", same=zoo.timm),
    "BYOL": Case(
        saved(lambda: zoo.prefixed("backbone.", zoo.bare()) | zoo.prefixed("momentum_backbone.", zoo.bare())),
        "timm bare",
        f"{PREFIX} {PARTS}",
        says="--key momentum_backbone takes that copy of the network instead",
    ),
    "I-JEPA": Case(
        saved(lambda: {side: zoo.prefixed("module.", zoo.bare()) for side in ("encoder", "target_encoder")}),
        "timm bare",
        PREFIX,
        says="took ['target_encoder'] and left out encoder; --key encoder",
    ),
    "DeepSpeed": Case(saved(lambda: {"module": zoo.vit(), "ds_config": {}, "optimizer": None}), "timm"),
    "double precision": Case(saved(lambda: {n: v.double() for n, v in zoo.vit().items()}), "timm"),
    "a teacher with a head beside its backbone": Case(
        saved(lambda: zoo.beside("student.") | zoo.beside("teacher.")), "wrapped", f"{PREFIX} {PARTS}"
    ),
    "all at once": Case(
        saved(lambda: {"state_dict_ema": zoo.prefixed("module.", zoo.timm(num_classes=7).state_dict())}),
        "timm 64",
        f"{PREFIX} image-size classes",
    ),
    "values without names": Case(
        saved(lambda: {"decay": 0.9, "shadow_params": list(zoo.vit().values())}),
        "timm",
        "!not-a-checkpoint",
        False,
        "a list of 32 tensors without names",
    ),
    "optimizer": Case(saved(zoo.optimizer), "timm", "!not-a-checkpoint", False, "the state of an optimizer"),
    "scheduler": Case(
        saved(lambda: {"last_epoch": 3, "_step_count": 4, "base_lrs": [0.1]}), "timm", "!not-a-checkpoint", False
    ),
    "random states": Case(
        saved(lambda: {"python": (3, (1, 2), None), "numpy": None, "cpu": torch.get_rng_state()}),
        "timm",
        "!not-a-checkpoint",
        False,
        "states of random number generators",
    ),
    "a whole model": Case(saved(lambda: nn.Linear(2, 2)), "timm", "!checkpoint-unsafe", False, "torch.nn.modules"),
}


def told(case: Case, path: Any) -> tuple[list[str], str, Any]:
    """(codes without checkpoint-, all that is said, the remedy)."""
    try:
        checkpoint = read(path, case.key)
        found, remedy = judged(checkpoint, target(case.target))
    except Refused as refused:
        return [f"!{one.code}" for one in refused.diagnostics], _texts(refused.diagnostics), None
    codes = [one.code.removeprefix("checkpoint-") for one in found if one.severity != "note"]
    return codes, _texts(found), remedy


def _texts(found: Any) -> str:
    return "\n".join(text for one in found for text in (one.message, *one.notes, *one.help))


def fresh(name: str) -> nn.Module:
    torch.manual_seed(1)
    foreign = target(name).foreign
    assert foreign is not None
    return foreign.make().eval()


@pytest.mark.parametrize("name", CASES)
def test_verdict_cause_and_remedy(name, tmp_path):
    case = CASES[name]
    path = case.save(tmp_path)
    codes, texts, remedy = told(case, path)
    assert sorted(codes) == sorted(case.codes.split()), texts
    assert case.says in texts, texts
    if not case.loads:
        assert "load_state_dict(model, " not in texts
        with pytest.raises(ValueError):
            vit_trace.load_state_dict(fresh(case.target), path, key=case.key)
        return
    assert remedy is not None and (remedy.is_identity or "(tried: it loads with strict=True)" in texts)
    model, other = fresh(case.target), fresh(case.target)
    before = path.read_bytes() if path.is_file() else b""
    done = vit_trace.load_state_dict(model, path, key=case.key)
    assert done.remedy == remedy and before == (path.read_bytes() if path.is_file() else b"")
    by_hand(json.loads(json_bytes(remedy)), raw_values(path, remedy, case.key), other)
    for (one, value), (_, expected) in zip(model.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.allclose(value, expected, atol=1e-6), one
    if case.same is not None:
        mine, theirs = features(model), features(case.same())
        assert torch.allclose(mine[:, 0] if mine.ndim > theirs.ndim else mine, theirs, atol=1e-3), name


def features(model: nn.Module) -> Any:
    """What a model computes of an image before its head."""
    size = 64 if any(word in type(model).__name__ for word in ("Swin", "Sam")) else 32
    image = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        if hasattr(model, "forward_features"):
            found = model.forward_features(image)
        elif hasattr(model, "base_model"):
            found = model.base_model(image).last_hidden_state
        elif hasattr(model, "features"):
            found = model.features(image)
            found = model.norm(found) if hasattr(model, "norm") else found
        else:
            head, model.heads = model.heads, nn.Identity()
            found, model.heads = model(image), head
            return found
    return found.flatten(1, 2) if size == 64 and found.ndim == 4 and found.shape[-1] == 48 else found


def raw_values(path: Any, remedy: Any, key: str) -> dict[str, torch.Tensor]:
    """The tensors as torch, safetensors or NumPy themselves read them."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    found: dict[str, torch.Tensor] = {}
    for file in files:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            found |= load_file(file)
        elif file.suffix == ".npz":
            found |= {name: torch.from_numpy(value) for name, value in numpy.load(file).items()}
        else:
            value = torch.load(file, weights_only=False)  # we made it
            for step in remedy.taken:
                value = value[int(step) if isinstance(value, tuple) else step]
            found |= value
    return found


def by_hand(mapping: dict[str, Any], values: dict[str, torch.Tensor], model: nn.Module) -> None:
    """What mapping.json says, done with torch alone."""
    made = {name: model.state_dict()[name] for name in mapping["kept"]}
    for move in mapping["tensors"]:
        parts = []
        for part in move["parts"]:
            if not part["name"]:
                parts.append(torch.zeros(part["rows"][1] - part["rows"][0]))
                continue
            value = values[part["name"]].float()
            value = value.reshape(part["view"]) if "view" in part else value
            value = value[slice(*part["rows"])] if "rows" in part else value
            parts.append(value.permute(part["permute"]) if "permute" in part else value)
        whole = torch.cat(parts) if len(parts) > 1 else parts[0]
        whole = whole.reshape(move["shape"])
        if "resize" in move:
            whole = as_timm(whole, move["resize"])
        made[move["name"]] = whole
    model.load_state_dict(made, strict=True)


def as_timm(value: torch.Tensor, resize: dict[str, Any]) -> torch.Tensor:
    from timm.layers import resample_abs_pos_embed, resize_rel_pos_bias_table

    if resize["kind"] == "window":
        side = resize["want"][0]
        return resize_rel_pos_bias_table(
            value, (side, side), ((2 * side - 1) ** 2 + resize.get("kept", 0), value.shape[1])
        )
    return resample_abs_pos_embed(value, resize["want"], resize["have"], num_prefix_tokens=resize.get("kept", 0))


def test_a_directory_of_shards_becomes_one_file_as_is_said(tmp_path):
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    folder = zoo.save_distributed(tmp_path)
    _, texts, _ = told(CASES["FSDP's directory"], folder)
    assert f"dcp_to_torch_save({str(folder)!r}, 'whole.pt')" in texts
    dcp_to_torch_save(folder, tmp_path / "whole.pt")
    model = fresh("timm")
    assert vit_trace.load_state_dict(model, tmp_path / "whole.pt").remedy.is_identity
    assert torch.equal(model.head.weight, zoo.timm().head.weight)


def test_what_peft_wrapped_loads_into_what_is_said(tmp_path):
    import peft

    _, texts, _ = told(CASES["PEFT, whole"], CASES["PEFT, whole"].save(tmp_path))
    config = re.search(r"peft\.LoraConfig\(.*?\]\)", texts)
    wrapped = peft.get_peft_model(fresh("hf"), eval(config[0], {"peft": peft}))  # our own text
    wrapped.load_state_dict(torch.load(tmp_path / "x.pth"), strict=True)


def test_siglip_pools_the_same_in_timm(tmp_path):
    path = saved(lambda: zoo.state(zoo.siglip()))(tmp_path)
    model, image = fresh("siglip"), torch.randn(2, 3, 32, 32)
    vit_trace.load_state_dict(model, path)
    with torch.no_grad():
        assert torch.allclose(model(image), zoo.siglip()(image).pooler_output, atol=1e-4)


def test_a_torchscript_archive_is_said_to_be_one_although_it_is_compressed(tmp_path):
    torch.jit.script(nn.Sequential(*(nn.Linear(2, 2) for _ in range(20)))).save(str(tmp_path / "m.pt"))
    with pytest.raises(Refused, match="TorchScript"):
        read(tmp_path / "m.pt")


def test_peft_is_not_offered_where_the_model_has_no_such_modules(tmp_path):
    _, texts, _ = told(CASES["PEFT, whole, of another library"], CASES["PEFT, whole"].save(tmp_path))
    assert "get_peft_model" not in texts


def test_clip_computes_the_same_in_transformers(tmp_path):
    path = CASES["open_clip in transformers"].save(tmp_path)
    model = fresh("hf clip")
    vit_trace.load_state_dict(model, path)
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(model(image).image_embeds, zoo.clip().encode_image(image), atol=1e-3)


@pytest.mark.parametrize("grid", [(4, 7), (7, 4), (14, 16), (16, 37)])
@pytest.mark.parametrize("kept", [0, 1, 5])
def test_positions_are_interpolated_as_timm_and_dinov2_do(grid, kept):
    from timm.layers import resample_abs_pos_embed

    have, want = grid
    table = torch.randn(1, have * have + kept, 24)
    move = Move("pos", (Part("pos"),), table.shape, Resize("grid", (have, have), (want, want), kept))
    found = made(move, {"pos": table})
    expected = resample_abs_pos_embed(table, (want, want), (have, have), num_prefix_tokens=kept)
    assert (found - expected).abs().max() <= 1e-6
    patches = table[:, kept:].reshape(1, have, have, 24).permute(0, 3, 1, 2)  # as DINOv2 with registers does
    theirs = nn.functional.interpolate(patches, mode="bicubic", antialias=True, size=(want, want))
    assert (found[:, kept:] - theirs.permute(0, 2, 3, 1).flatten(1, 2)).abs().max() <= 1e-6


def test_an_adapter_says_what_it_is_without_a_model(tmp_path):
    notes = "\n".join(holding(read(zoo.save_adapter(tmp_path))).notes)
    assert "rank 4, alpha 8" in notes and "its base model: ViTForImageClassification" in notes


def test_a_state_dict_of_the_program_loads_as_its_file_does(tmp_path):
    path = CASES["model and EMA"].save(tmp_path)
    one, two = fresh("timm"), fresh("timm")
    vit_trace.load_state_dict(one, path, key="model")
    vit_trace.load_state_dict(two, torch.load(path, weights_only=False), key="model")
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())
    with pytest.raises(ValueError, match="no such key"):
        vit_trace.load_state_dict(two, {"model": {}}, key="mode")


def test_a_key_that_is_not_there(tmp_path):
    path = CASES["model and EMA"].save(tmp_path)
    with pytest.raises(ValueError, match="no such key"):
        vit_trace.load_state_dict(fresh("timm"), path, key="model_em")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.codes == GLOBALS])
def test_torch_reads_it_once_what_is_said_is_safe(name, tmp_path):
    path = CASES[name].save(tmp_path)
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(path)
    _, texts, _ = told(CASES[name], path)
    said = re.search(r"safe_globals\(\[(.*?)\]\)", texts)[1]
    modules = {one.rpartition(".")[0] for one in re.findall(r"[a-z_]+\.[\w.]+", said)}
    names = {module.split(".")[0]: importlib.import_module(module.split(".")[0]) for module in modules}
    for module in modules:
        importlib.import_module(module)
    with torch.serialization.safe_globals(eval(f"[{said}]", names)):  # our own text
        assert torch.load(path)
