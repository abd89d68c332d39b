"""Makes small checkpoints as the libraries and their training scripts save them, with random weights."""

import argparse
import re
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

State = dict[str, Any]
SIZES = dict(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=5)
HF = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96, image_size=32, patch_size=8)
SWIN = dict(embed_dim=24, depths=(1, 2), num_heads=(3, 6), img_size=64, window_size=4, num_classes=5)


@cache
def timm(name: str = "vit_base_patch16_224", **changes: Any) -> nn.Module:
    import timm

    torch.manual_seed(0)
    sizes = {} if "swin" in name or "samvit" in name else SIZES
    return _filled(timm.create_model(name, **{**sizes, **changes}))


def _filled(model: nn.Module) -> nn.Module:
    """With values everywhere: tokens and tables are zeros at first, which would hide a mistake."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


def swin(**changes: Any) -> nn.Module:
    return timm("swin_tiny_patch4_window7_224", **{**SWIN, **changes})


CONVNEXT = dict(depths=(1, 1, 1, 1), dims=(8, 16, 24, 32), num_classes=5)


def torchvision_convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    torch.manual_seed(0)
    sizes = [CNBlockConfig(8, 16, 1), CNBlockConfig(16, 24, 1), CNBlockConfig(24, 32, 1), CNBlockConfig(32, None, 1)]
    return _filled(ConvNeXt(sizes, num_classes=5))


def original_convnext(name: str = "convnextv2_tiny") -> State:
    """facebookresearch/ConvNeXt and its second version: the stem is the first of the downsamplings."""
    found = {}
    for old, value in state(timm_convnext(name)).items():
        new = re.sub(
            r"^stem", "downsample_layers.0", re.sub(r"^stages\.(\d)\.downsample", r"downsample_layers.\1", old)
        )
        for mine, theirs in (
            *(("blocks.", ""), ("conv_dw", "dwconv"), ("mlp.fc", "pwconv"), ("mlp.grn.weight", "grn.gamma")),
            *(("mlp.grn.bias", "grn.beta"), ("head.norm", "norm"), ("head.fc", "head")),
        ):
            new = new.replace(mine, theirs)
        found[new] = value.reshape(1, 1, 1, -1) if "grn" in new else value
    return found


def timm_convnext(name: str = "convnext_tiny") -> nn.Module:
    import timm as library

    torch.manual_seed(0)
    return _filled(library.create_model(name, **CONVNEXT))


def torchvision_swin(second: bool = False) -> nn.Module:
    from torchvision.models import swin_transformer as swins

    torch.manual_seed(0)
    sizes = dict(patch_size=[4, 4], embed_dim=24, depths=[1, 2], num_heads=[3, 6], window_size=[4, 4], num_classes=5)
    v2 = dict(block=swins.SwinTransformerBlockV2, downsample_layer=swins.PatchMergingV2) if second else {}
    return _filled(swins.SwinTransformer(**sizes, **v2))


def siglip() -> nn.Module:
    import transformers

    torch.manual_seed(0)
    return _filled(transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**HF)))


def sam(**changes: Any) -> nn.Module:
    sizes = dict(img_size=64, patch_size=8, embed_dim=24, depth=2, num_heads=3, neck_chans=16)
    return timm("samvit_base_patch16", **{**sizes, **changes})


@cache
def hf(name: str = "ViTForImageClassification", config: str = "ViTConfig", **changes: Any) -> nn.Module:
    import transformers

    torch.manual_seed(0)
    values = {} if "Swin" in config or "CLIP" in config else {**HF, "num_labels": 5}
    if "ConvNext" in config or "Swinv2" in config:
        values = {"num_labels": 5}
    values |= {key: list(value) if isinstance(value, tuple) else value for key, value in changes.items()}
    return _filled(getattr(transformers, name)(getattr(transformers, config)(**values)))


@cache
def torchvision() -> nn.Module:
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    sizes = dict(image_size=32, patch_size=8, num_layers=2, num_heads=3, hidden_dim=24, mlp_dim=96, num_classes=5)
    return _filled(VisionTransformer(**sizes))


def state(model: nn.Module) -> State:
    return dict(model.state_dict())


def vit() -> State:
    return state(timm())


def bare(model: nn.Module | None = None) -> State:
    """The backbone without its head."""
    return {name: value for name, value in state(model or timm()).items() if not name.startswith("head")}


def prefixed(prefix: str, values: State) -> State:
    return {prefix + name: value for name, value in values.items()}


def renamed(values: State, *pairs: tuple[str, str]) -> State:
    for old, new in pairs:
        values = {re.sub(old, new, name): value for name, value in values.items()}
    return values


def beside(prefix: str) -> State:
    """A backbone and the head beside it, as a wrapper of one's own has them."""
    return prefixed(f"{prefix}backbone.", bare()) | {
        f"{prefix}fc.weight": torch.ones(3, 24),
        f"{prefix}fc.bias": torch.ones(3),
    }


def projector(prefix: str) -> State:
    """DINO's head."""
    sizes = {"mlp.0.weight": (32, 24), "mlp.0.bias": (32,), "mlp.2.weight": (8, 32), "mlp.2.bias": (8,)}
    sizes |= {"last_layer.weight_g": (50, 1), "last_layer.weight_v": (50, 8)}
    return {prefix + name: torch.randn(size) for name, size in sizes.items()}


def dino(prefix: str) -> State:
    """One side of facebookresearch/dino."""
    return prefixed(prefix + "backbone.", bare()) | projector(prefix + "head.")


def dinov2(prefix: str) -> State:
    """One side of a DINOv2 training checkpoint: blocks in chunks, a mask token, heads."""
    chunks = prefixed(prefix + "backbone.", renamed(bare(), (r"^blocks", "blocks.0")))
    return chunks | {prefix + "backbone.mask_token": torch.randn(1, 24)} | projector(prefix + "dino_head.")


def quantised() -> State:
    """Linear layers with packed weights of eight bits, as torch.ao makes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(timm(), {nn.Linear}).state_dict()  # type: ignore[no-any-return]


DINOV3 = dict(img_size=64, embed_dim=64, depth=2, num_heads=4)


def dinov3() -> State:
    """facebookresearch/dinov3: registers under another name, a mask for the bias of the keys, RoPE's periods."""
    values = state(timm("vit_small_patch16_dinov3_qkvb", **DINOV3))
    found = renamed(values, (r"reg_token", "storage_tokens"), (r"gamma_(\d)", r"ls\1.gamma"))
    for name in [name for name in found if name.endswith("q_bias")]:
        other, qkv = name.replace("q_bias", "v_bias"), name.replace("q_bias", "qkv.bias")
        q, v = found.pop(name), found.pop(other)
        found |= {qkv: torch.cat([q, torch.zeros_like(q), v]), f"{qkv}_mask": torch.ones(192)}
    return found | {"rope_embed.periods": torch.rand(4), "mask_token": torch.zeros(1, 64)}


def mae() -> State:
    """facebookresearch/mae, pretrained: the encoder beside its decoder."""
    decoder = timm(embed_dim=16, num_heads=2, depth=1)
    blocks = {f"decoder_{n}": v for n, v in state(decoder).items() if n.startswith(("blocks", "norm"))}
    sizes = {"mask_token": (1, 1, 16), "decoder_pos_embed": (1, 17, 16), "decoder_embed.weight": (16, 24)}
    sizes |= {"decoder_embed.bias": (16,), "decoder_pred.weight": (192, 16), "decoder_pred.bias": (192,)}
    return bare() | blocks | {name: torch.randn(size) for name, size in sizes.items()}


MAE_HF = dict(
    decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=2, decoder_intermediate_size=64
)


def moco() -> State:
    """facebookresearch/moco-v3: encoder, momentum encoder and predictor, under DDP."""
    head = {"0.weight": torch.randn(64, 24), "1.weight": torch.randn(64), "1.running_mean": torch.randn(64)}
    head |= {"1.num_batches_tracked": torch.tensor(3), "3.weight": torch.randn(16, 64)}
    found: State = {}
    for side in ("base_encoder", "momentum_encoder"):
        found |= prefixed(f"module.{side}.", bare()) | prefixed(f"module.{side}.head.", head)
    return found | {"module.predictor.0.weight": torch.randn(64, 16)}


def original_swin(**changes: Any) -> State:
    """microsoft/Swin-Transformer: downsampling belongs to the stage before it; the index is saved."""
    found = {}
    for name, value in state(swin(**changes)).items():
        name = re.sub(r"layers\.(\d+)\.downsample", lambda one: f"layers.{int(one[1]) - 1}.downsample", name)
        found[name.replace("head.fc.", "head.")] = value
    for stage, depth in enumerate(SWIN["depths"]):
        for block in range(depth):
            index = torch.zeros(16, 16, dtype=torch.long)
            found[f"layers.{stage}.blocks.{block}.attn.relative_position_index"] = index
    return found


CLIP_HF = dict(
    hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256, projection_dim=32,
    hidden_act="gelu", image_size=32, patch_size=8,
)  # fmt: skip


@cache
def clip() -> Any:
    """open_clip, both towers."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    torch.manual_seed(0)
    vision = CLIPVisionCfg(layers=2, width=64, image_size=32, patch_size=8, head_width=16)
    return _filled(CLIP(32, vision, CLIPTextCfg(layers=1, width=32, heads=2, vocab_size=100)))


def original_sam() -> State:
    """facebookresearch/segment-anything: image encoder, prompt encoder, mask decoder."""
    encoder = prefixed("image_encoder.", renamed(state(sam()), (r"mlp\.fc", "mlp.lin")))
    rest = {"pixel_mean": torch.zeros(3, 1, 1), "mask_decoder.iou_token.weight": torch.randn(1, 256)}
    return encoder | rest | {"prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": torch.randn(2, 128)}


def biases_apart(values: State) -> State:
    """q_bias and v_bias, as the original BEiT and EVA keep them: the keys have none."""
    found = {}
    for name, value in values.items():
        if name.endswith("qkv.bias"):
            third = len(value) // 3
            found[name.replace("qkv.bias", "q_bias")], found[name.replace("qkv.bias", "v_bias")] = (
                value[:third],
                value[2 * third :],
            )
        else:
            found[name] = value
    return found


def shared_table() -> State:
    """A BEiT as it is pretrained: one table of relative positions for all layers."""
    found = {name: value for name, value in state(timm("beit_base_patch16_224")).items() if "relative" not in name}
    return found | {"rel_pos_bias.relative_position_bias_table": torch.randn(52, 3)}


def jax() -> dict[str, numpy.ndarray]:
    """The original ViT's names and axes, as its .npz have them."""
    values = {name: value.numpy() for name, value in vit().items()}
    found = {
        "cls": values["cls_token"],
        "embedding/kernel": values["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": values["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": values["pos_embed"],
        "Transformer/encoder_norm/scale": values["norm.weight"],
        "Transformer/encoder_norm/bias": values["norm.bias"],
        "head/kernel": values["head.weight"].T,
        "head/bias": values["head.bias"],
    }
    for layer in range(2):
        mine, base = f"blocks.{layer}.", f"Transformer/encoderblock_{layer}/"
        for norm, flax in (("norm1", "LayerNorm_0"), ("norm2", "LayerNorm_2")):
            found[f"{base}{flax}/scale"], found[f"{base}{flax}/bias"] = (
                values[f"{mine}{norm}.weight"],
                values[f"{mine}{norm}.bias"],
            )
        attention = f"{base}MultiHeadDotProductAttention_1/"
        for place, part in enumerate(("query", "key", "value")):
            rows = slice(24 * place, 24 * place + 24)
            found[f"{attention}{part}/kernel"] = values[f"{mine}attn.qkv.weight"][rows].T.reshape(24, 3, 8)
            found[f"{attention}{part}/bias"] = values[f"{mine}attn.qkv.bias"][rows].reshape(3, 8)
        found[f"{attention}out/kernel"] = values[f"{mine}attn.proj.weight"].T.reshape(3, 8, 24)
        found[f"{attention}out/bias"] = values[f"{mine}attn.proj.bias"]
        for place, part in enumerate(("fc1", "fc2")):
            found[f"{base}MlpBlock_3/Dense_{place}/kernel"] = values[f"{mine}mlp.{part}.weight"].T
            found[f"{base}MlpBlock_3/Dense_{place}/bias"] = values[f"{mine}mlp.{part}.bias"]
    return found


@cache
def peft_model(**changes: Any) -> Any:
    import peft

    config = dict(r=4, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    return peft.get_peft_model(hf(_name_or_path="x"), peft.LoraConfig(**{**config, **changes}))


def save_adapter(folder: Path) -> Path:
    peft_model().save_pretrained(folder / "adapter")
    return folder / "adapter"


def save_distributed(folder: Path) -> Path:
    import torch.distributed.checkpoint as dcp

    dcp.save({"model": vit(), "optimizer": {"lr": 1}}, checkpoint_id=str(folder / "dcp"), no_dist=True)
    return folder / "dcp"


def save_sharded(folder: Path) -> Path:
    """As save_pretrained writes a large model."""
    hf().save_pretrained(folder / "shards", max_shard_size="20KB")
    return folder / "shards"


def save_npz(folder: Path) -> Path:
    numpy.savez(folder / "vit.npz", **jax())
    return folder / "vit.npz"


def save_safetensors(folder: Path, values: State) -> Path:
    from safetensors.torch import save_file

    save_file({name: value.contiguous().clone() for name, value in values.items()}, folder / "model.safetensors")
    return folder / "model.safetensors"


def optimizer() -> Any:
    model = timm()
    found = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    found.step()
    for parameter in model.parameters():
        parameter.grad = None
    return found.state_dict()


NAMESPACE = argparse.Namespace(lr=1e-3, output_dir=Path("out"), nested=argparse.Namespace(a=[1, 2]))
Saved = Callable[[Path], Path]


def saved(value: Callable[[], Any], name: str = "x.pth", **how: Any) -> Saved:
    """What torch.save writes."""

    def save(folder: Path) -> Path:
        torch.save(value(), folder / name, **how)
        return folder / name

    return save


def tensors(value: Any) -> dict[str, Tensor]:
    return {name: one for name, one in value.items() if isinstance(one, Tensor)}
