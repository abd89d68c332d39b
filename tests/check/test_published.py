"""Published configs, by the values that their authors wrote down: there is nothing to find in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from vit_trace.check.judge import judge_spec
from vit_trace.targets.request import Request

BASE = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
LARGE = dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
TINY = dict(hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768)
SMALL = dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536)
HUGE = dict(hidden_size=1280, num_hidden_layers=32, num_attention_heads=16, intermediate_size=5120)
IMAGENET = dict(num_labels=1000)
BEIT = dict(use_relative_position_bias=True, layer_scale_init_value=0.1, use_mean_pooling=True)
MAE = dict(mask_ratio=0.75, decoder_hidden_size=512, decoder_num_hidden_layers=8, decoder_num_attention_heads=16)
SWIN_T = dict(embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24])
SWIN_B = dict(embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32])
TROCR = dict(d_model=1024, decoder_layers=12, decoder_attention_heads=16, decoder_ffn_dim=4096, vocab_size=50265)
CROSS = dict(is_decoder=True, add_cross_attention=True)


def hugging_face() -> Iterator[tuple[str, dict[str, Any]]]:
    """config.json: the model's name on the hub, and its fields."""
    yield "google/vit-base-patch16-224", vit("ViTForImageClassification", "vit", BASE | IMAGENET)
    yield "google/vit-base-patch16-384", vit("ViTForImageClassification", "vit", BASE | {"image_size": 384})
    yield (
        "google/vit-base-patch32-384",
        vit("ViTForImageClassification", "vit", BASE | dict(image_size=384, patch_size=32)),
    )
    yield "google/vit-large-patch16-224", vit("ViTForImageClassification", "vit", LARGE | IMAGENET)
    yield "google/vit-huge-patch14-224-in21k", vit("ViTModel", "vit", HUGE | dict(patch_size=14))
    yield "facebook/deit-tiny-patch16-224", vit("ViTForImageClassification", "vit", TINY | IMAGENET)
    yield "facebook/deit-small-patch16-224", vit("ViTForImageClassification", "vit", SMALL | IMAGENET)
    yield "facebook/deit-base-distilled-patch16-224", vit("DeiTForImageClassificationWithTeacher", "deit", BASE)
    yield (
        "facebook/deit-base-distilled-patch16-384",
        vit("DeiTForImageClassificationWithTeacher", "deit", BASE | {"image_size": 384}),
    )
    yield "microsoft/beit-base-patch16-224", vit("BeitForImageClassification", "beit", BASE | BEIT)
    yield "microsoft/beit-large-patch16-224", vit("BeitForImageClassification", "beit", LARGE | BEIT)
    yield "facebook/dino-vits16", vit("ViTModel", "vit", SMALL)
    yield "facebook/dino-vits8", vit("ViTModel", "vit", SMALL | {"patch_size": 8})
    for name, sizes in (("small", SMALL), ("base", BASE), ("large", LARGE)):
        own = {key: value for key, value in sizes.items() if key != "intermediate_size"}
        yield (
            f"facebook/dinov2-{name}",
            vit("Dinov2Model", "dinov2", own | dict(image_size=518, patch_size=14, mlp_ratio=4)),
        )
    yield (
        "facebook/vit-mae-base",
        vit("ViTMAEForPreTraining", "vit_mae", BASE | MAE | {"decoder_intermediate_size": 2048}),
    )
    yield (
        "facebook/vit-mae-large",
        vit("ViTMAEForPreTraining", "vit_mae", LARGE | MAE | {"decoder_intermediate_size": 2048}),
    )
    yield (
        "hustvl/yolos-small",
        vit("YolosForObjectDetection", "yolos", SMALL | dict(image_size=[512, 864], num_detection_tokens=100)),
    )
    yield (
        "microsoft/swin-tiny-patch4-window7-224",
        vit("SwinForImageClassification", "swin", SWIN_T | dict(window_size=7, patch_size=4)),
    )
    yield (
        "microsoft/swin-base-patch4-window12-384",
        vit("SwinForImageClassification", "swin", SWIN_B | dict(window_size=12, patch_size=4, image_size=384)),
    )
    yield (
        "microsoft/swin-base-simmim-window6-192",
        vit(
            "SwinForMaskedImageModeling",
            "swin",
            SWIN_B | dict(window_size=6, patch_size=4, image_size=192, encoder_stride=32),
        ),
    )
    yield (
        "microsoft/swinv2-tiny-patch4-window8-256",
        vit("Swinv2ForImageClassification", "swinv2", SWIN_T | dict(window_size=8, patch_size=4, image_size=256)),
    )
    yield (
        "facebook/convnext-tiny-224",
        vit(
            "ConvNextForImageClassification",
            "convnext",
            dict(depths=[3, 3, 9, 3], hidden_sizes=[96, 192, 384, 768], patch_size=4),
        ),
    )
    yield (
        "facebook/levit-128S",
        {
            "architectures": ["LevitForImageClassificationWithTeacher"],
            "model_type": "levit",
            "hidden_sizes": [128, 256, 384],
            "num_attention_heads": [4, 6, 8],
            "depths": [2, 3, 4],
            "key_dim": [16, 16, 16],
        },
    )
    yield "openai/clip-vit-base-patch32", vit("CLIPVisionModel", "clip_vision_model", BASE | dict(patch_size=32))
    yield "openai/clip-vit-large-patch14", vit("CLIPVisionModel", "clip_vision_model", LARGE | dict(patch_size=14))
    yield "google/siglip-base-patch16-224", vit("SiglipVisionModel", "siglip_vision_model", BASE)
    yield (
        "google/siglip-so400m-patch14-224",
        vit(
            "SiglipVisionModel",
            "siglip_vision_model",
            dict(hidden_size=1152, num_hidden_layers=27, num_attention_heads=16, intermediate_size=4304, patch_size=14),
        ),
    )
    yield (
        "microsoft/trocr-small-printed",
        encoder_decoder(
            SMALL | dict(model_type="deit", image_size=384, patch_size=16),
            TROCR
            | dict(
                model_type="trocr",
                d_model=256,
                decoder_layers=6,
                decoder_attention_heads=8,
                decoder_ffn_dim=1024,
                vocab_size=64044,
                cross_attention_hidden_size=384,
            ),
        ),
    )
    yield (
        "microsoft/trocr-base-handwritten",
        encoder_decoder(
            BASE | dict(model_type="vit", image_size=384, patch_size=16, qkv_bias=False),
            TROCR | dict(model_type="trocr", cross_attention_hidden_size=768),
        ),
    )
    yield (
        "naver-clova-ix/donut-base",
        encoder_decoder(
            dict(
                model_type="donut-swin",
                depths=[2, 2, 14, 2],
                embed_dim=128,
                num_heads=[4, 8, 16, 32],
                image_size=[2560, 1920],
                patch_size=4,
                window_size=10,
            ),
            dict(
                model_type="mbart",
                d_model=1024,
                decoder_layers=4,
                encoder_layers=12,
                decoder_attention_heads=16,
                decoder_ffn_dim=4096,
                vocab_size=57525,
                max_position_embeddings=768,
                add_final_layer_norm=True,
            ),
        ),
    )
    yield (
        "nlpconnect/vit-gpt2-image-captioning",
        encoder_decoder(
            BASE | dict(model_type="vit", image_size=224, patch_size=16),
            dict(model_type="gpt2", n_embd=768, n_layer=12, n_head=12, vocab_size=50257),
        ),
    )


def vit(architecture: str, kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    usual = {"patch_size": 16} if "patch_size" not in fields and "hidden_size" in fields else {}
    return {"architectures": [architecture], "model_type": kind, "image_size": 224, **usual, **fields}


def encoder_decoder(encoder: Mapping[str, Any], decoder: Mapping[str, Any]) -> dict[str, Any]:
    whole = dict(architectures=["VisionEncoderDecoderModel"], model_type="vision-encoder-decoder")
    return {
        **whole,
        "encoder": {**encoder},
        "decoder": {**decoder, **CROSS},
        "decoder_start_token_id": 2,
        "pad_token_id": 1,
    }


TIMM = """vit_tiny_patch16_224 vit_small_patch32_384 vit_base_patch8_224 vit_large_patch14_clip_224
deit3_small_patch16_224 beitv2_base_patch16_224 eva02_tiny_patch14_224 cait_xxs24_224 swin_small_patch4_window7_224
vit_small_patch14_reg4_dinov2""".split()
OPEN_CLIP = "ViT-B-32 ViT-B-16 ViT-L-14 ViT-S-16 ViT-B-16-plus-240 ViT-B-32-256 coca_ViT-B-32".split()
REPOSITORIES = {
    "lucidrains, ViT": (
        "v.yaml",
        """
image_size: 256
patch_size: 32
num_classes: 1000
dim: 1024
depth: 6
heads: 16
mlp_dim: 2048
dropout: 0.1
emb_dropout: 0.1
""",
    ),
    "lucidrains, SimpleViT": (
        "v.yaml",
        """
_target_: vit_pytorch.SimpleViT
image_size: 256
patch_size: 32
num_classes: 1000
dim: 1024
depth: 6
heads: 16
mlp_dim: 2048
""",
    ),
    "lucidrains, DeepViT": (
        "v.yaml",
        """
_target_: vit_pytorch.deepvit.DeepViT
image_size: 256
patch_size: 32
num_classes: 1000
dim: 1024
depth: 6
heads: 16
mlp_dim: 2048
dropout: 0.1
emb_dropout: 0.1
""",
    ),
    "lucidrains, CaiT": (
        "v.yaml",
        """
_target_: vit_pytorch.cait.CaiT
image_size: 256
patch_size: 32
num_classes: 1000
dim: 1024
depth: 12
cls_depth: 2
heads: 16
mlp_dim: 2048
dropout: 0.1
emb_dropout: 0.1
layer_dropout: 0.05
""",
    ),
    "lucidrains, CrossViT": (
        "v.yaml",
        """
_target_: vit_pytorch.cross_vit.CrossViT
image_size: 256
num_classes: 1000
depth: 4
sm_dim: 192
sm_patch_size: 16
sm_enc_depth: 2
sm_enc_heads: 8
sm_enc_mlp_dim: 2048
lg_dim: 384
lg_patch_size: 64
lg_enc_depth: 3
lg_enc_heads: 8
lg_enc_mlp_dim: 2048
cross_attn_depth: 2
cross_attn_heads: 8
dropout: 0.1
emb_dropout: 0.1
""",
    ),
    "DINOv2, ViT-L/14": (
        "vitl14.yaml",
        """
dino:
  head_n_prototypes: 131072
train:
  batch_size_per_gpu: 32
student:
  arch: vit_large
  patch_size: 14
  drop_path_rate: 0.4
  ffn_layer: mlp
  block_chunks: 4
crops:
  local_crops_size: 98
""",
    ),
    "DINOv2, ViT-L/16": (
        "vitl16_short.yaml",
        """
train:
  dataset_path: ImageNet:split=TRAIN
  batch_size_per_gpu: 64
student:
  block_chunks: 4
  arch: vit_large
  patch_size: 16
""",
    ),
    "Swin-T": (
        "swin_tiny_patch4_window7_224.yaml",
        """
MODEL:
  TYPE: swin
  NAME: swin_tiny_patch4_window7_224
  DROP_PATH_RATE: 0.2
  SWIN:
    EMBED_DIM: 96
    DEPTHS: [ 2, 2, 6, 2 ]
    NUM_HEADS: [ 3, 6, 12, 24 ]
    WINDOW_SIZE: 7
""",
    ),
    "Swin-L": (
        "swin_large_patch4_window12_384.yaml",
        """
DATA:
  IMG_SIZE: 384
MODEL:
  TYPE: swin
  SWIN:
    EMBED_DIM: 192
    DEPTHS: [ 2, 2, 18, 2 ]
    NUM_HEADS: [ 6, 12, 24, 48 ]
    WINDOW_SIZE: 12
TEST:
  CROP: False
""",
    ),
    "Swin V2-B": (
        "swinv2_base_patch4_window16_256.yaml",
        """
DATA:
  IMG_SIZE: 256
MODEL:
  TYPE: swinv2
  DROP_PATH_RATE: 0.5
  SWINV2:
    EMBED_DIM: 128
    DEPTHS: [ 2, 2, 18, 2 ]
    NUM_HEADS: [ 4, 8, 16, 32 ]
    WINDOW_SIZE: 16
""",
    ),
    "SimMIM, ViT-B": (
        "simmim_finetune__vit_base.yaml",
        """
MODEL:
  TYPE: vit
  VIT:
    EMBED_DIM: 768
    DEPTH: 12
    NUM_HEADS: 12
    INIT_VALUES: 0.1
DATA:
  IMG_SIZE: 224
""",
    ),
    "MAE, ViT-L": (
        "args.yaml",
        """
model: mae_vit_large_patch16
input_size: 224
mask_ratio: 0.75
norm_pix_loss: true
batch_size: 64
epochs: 800
""",
    ),
}
LARGE_ONES = re.compile("swin|Swin|large|huge|so400m|gpt2|donut|trocr-base|CrossViT|ViT-L|plus|coca", re.S)


def rows(names: Iterable[str], *values: Any) -> list[Any]:
    """The cases of a table; those that take longest run with `-m slow`."""
    marks = [[pytest.mark.slow] if LARGE_ONES.search(name) else [] for name in names]
    return [
        pytest.param(*row, id=row[0], marks=mark)
        for row, mark in zip(zip(names, *values, strict=True), marks, strict=True)
    ]


def found_in(spec: str) -> list[str]:
    return [f"{one.code}: {one.message}" for one in judge_spec(spec, Request()).diagnostics if one.severity != "note"]


@pytest.mark.parametrize(("name", "fields"), rows(*zip(*hugging_face(), strict=True)))
def test_hugging_face(name, fields, tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(json.dumps(fields))
    assert found_in(str(tmp_path)) == []


@pytest.mark.parametrize("name", rows([*TIMM]))
def test_timm(name, tmp_path):
    pytest.importorskip("timm")
    (tmp_path / "net.yaml").write_text(f"model:\n  _target_: timm.create_model\n  model_name: {name}\n")
    assert found_in(str(tmp_path / "net.yaml")) == []


@pytest.mark.parametrize("name", rows([*OPEN_CLIP]))
def test_open_clip(name):
    package = pytest.importorskip("open_clip")
    assert found_in(str(Path(package.__file__).parent / "model_configs" / f"{name}.json")) == []


@pytest.mark.parametrize("name", rows([*REPOSITORIES]))
def test_repositories(name, tmp_path):
    file, text = REPOSITORIES[name]
    (tmp_path / file).write_text(text)
    assert found_in(str(tmp_path / file)) == []
