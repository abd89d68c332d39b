"""How each library names the parts of a Vision Transformer: tables of its names and the roles they play.

A role is the same for all libraries: `block.#.q.weight`, `pos`, `head.bias`; `#` stands for the layer's number. Names
end in `*` where weight and bias are meant. Plain data; `naming.py` recognises with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct


class Layout(Struct, frozen=True):
    """One library's names: `words` is what people call it, `roles` gives the role by name."""

    name: str
    words: str
    roles: dict[str, str]
    separator: str = "."


def leaves(name: str, role: str) -> Iterator[tuple[str, str]]:
    if name.endswith("*"):
        for leaf in ("weight", "bias"):
            yield name[:-1] + leaf, role[:-1] + leaf
    else:
        yield name, role


def table(text: str) -> dict[str, str]:
    """{name: role} of lines that each hold a name and its role."""
    rows = (line.split() for line in text.strip().splitlines())
    return {name: role for first, second in rows for name, role in leaves(first, second)}


def inside(containers: str, parts: str) -> dict[str, str]:
    """The table of a layer's parts, which stand in any of the containers."""
    return {
        f"{container}.{name}": f"block.#.{role}"
        for container in containers.split()
        for name, role in table(parts).items()
    }


TIMM_BLOCK = """
norm1.* norm1.*
attn.qkv.* qkv.*
attn.q_proj.* q.*
attn.k_proj.* k.*
attn.v_proj.* v.*
attn.q_bias q.bias
attn.v_bias v.bias
attn.q_norm.* q_norm.*
attn.k_norm.* k_norm.*
attn.norm.* attn_norm.*
attn.inner_attn_ln.* attn_norm.*
attn.proj.* out.*
attn.relative_position_bias_table relative
attn.relative_position_index index
ls1.gamma ls1
ls2.gamma ls2
gamma_1 ls1
gamma_2 ls2
norm2.* norm2.*
mlp.fc1.* fc1.*
mlp.fc1_g.* gate.*
mlp.fc1_x.* fc1.*
mlp.norm.* mlp_norm.*
mlp.fc2.* fc2.*
mlp.w12.* fc1.*
mlp.w3.* fc2.*
"""
TIMM = """
cls_token cls
pos_embed pos
reg_token registers
dist_token dist
mask_token mask
patch_embed.proj.* patch.*
norm_pre.* pre_norm.*
norm.* norm.*
fc_norm.* fc_norm.*
head.* head.*
head_dist.* head_dist.*
"""

HF = """
embeddings.cls_token cls
embeddings.position_embeddings pos
embeddings.distillation_token dist
embeddings.register_tokens registers
embeddings.mask_token mask
embeddings.patch_embeddings.projection.* patch.*
embeddings.patch_embeddings.* patch.*
layernorm.* norm.*
norm.* norm.*
pooler.dense.* pooler.*
pooler.layernorm.* fc_norm.*
classifier.* head.*
cls_classifier.* head.*
distillation_classifier.* head_dist.*
"""
HF_BLOCK = """
layernorm_before.* norm1.*
norm1.* norm1.*
attention.attention.query.* q.*
attention.attention.key.* k.*
attention.attention.value.* v.*
attention.q_proj.* q.*
attention.k_proj.* k.*
attention.v_proj.* v.*
attention.output.dense.* out.*
attention.o_proj.* out.*
attention.attention.relative_position_bias.relative_position_bias_table relative
attention.relative_position_bias.relative_position_bias_table relative
attention.attention.relative_position_bias.relative_position_index index
attention.relative_position_bias.relative_position_index index
layer_scale1.lambda1 ls1
layer_scale2.lambda1 ls2
lambda_1 ls1
lambda_2 ls2
layernorm_after.* norm2.*
norm2.* norm2.*
intermediate.dense.* fc1.*
output.dense.* fc2.*
mlp.fc1.* fc1.*
mlp.fc2.* fc2.*
mlp.weights_in.* fc1.*
mlp.weights_out.* fc2.*
mlp.gate_proj.* gate.*
mlp.up_proj.* fc1.*
mlp.down_proj.* fc2.*
"""

HF_CLIP = """
embeddings.class_embedding cls
embeddings.patch_embedding.* patch.*
embeddings.position_embedding.weight pos
embeddings.position_ids index
pre_layrnorm.* pre_norm.*
post_layernorm.* norm.*
visual_projection.weight proj
"""
HF_CLIP_BLOCK = """
layer_norm1.* norm1.*
self_attn.q_proj.* q.*
self_attn.k_proj.* k.*
self_attn.v_proj.* v.*
self_attn.out_proj.* out.*
layer_norm2.* norm2.*
mlp.fc1.* fc1.*
mlp.fc2.* fc2.*
"""

OPEN_CLIP = """
class_embedding cls
positional_embedding pos
conv1.* patch.*
ln_pre.* pre_norm.*
ln_post.* norm.*
proj proj
"""
OPEN_CLIP_BLOCK = """
ln_1.* norm1.*
attn.in_proj_weight qkv.weight
attn.in_proj_bias qkv.bias
attn.out_proj.* out.*
ls_1.gamma ls1
ls_2.gamma ls2
ln_2.* norm2.*
mlp.c_fc.* fc1.*
mlp.c_proj.* fc2.*
"""

TORCHVISION = """
class_token cls
conv_proj.* patch.*
encoder.pos_embedding pos
encoder.ln.* norm.*
heads.head.* head.*
"""
TORCHVISION_BLOCK = """
ln_1.* norm1.*
self_attention.in_proj_weight qkv.weight
self_attention.in_proj_bias qkv.bias
self_attention.out_proj.* out.*
ln_2.* norm2.*
mlp.0.* fc1.*
mlp.3.* fc2.*
mlp.linear_1.* fc1.*
mlp.linear_2.* fc2.*
"""

CLASSIC = """
pos_embedding pos
cls_token cls
to_patch_embedding.1.* flat.*
mlp_head.0.* head_norm.*
mlp_head.1.* head.*
"""
CLASSIC_BLOCK = """
0.norm.* norm1.*
0.fn.to_qkv.* qkv.*
0.fn.to_out.0.* out.*
1.norm.* norm2.*
1.fn.net.0.* fc1.*
1.fn.net.3.* fc2.*
"""

VIT_PYTORCH = """
pos_embedding pos
cls_token cls
register_tokens registers
to_patch_embedding.1.* flat_norm.*
to_patch_embedding.2.* flat.*
to_patch_embedding.3.* pre_norm.*
transformer.norm.* norm.*
mlp_head.* head.*
linear_head.* head.*
"""
VIT_PYTORCH_BLOCK = """
0.norm.* norm1.*
0.to_qkv.* qkv.*
0.to_out.0.* out.*
0.to_out.* out.*
1.net.0.* norm2.*
1.net.1.* fc1.*
1.net.4.* fc2.*
1.net.3.* fc2.*
"""

MMPRETRAIN = """
cls_token cls
pos_embed pos
patch_embed.projection.* patch.*
ln1.* norm.*
head.layers.head.* head.*
"""
MMPRETRAIN_BLOCK = """
ln1.* norm1.*
attn.qkv.* qkv.*
attn.proj.* out.*
ln2.* norm2.*
ffn.layers.0.0.* fc1.*
ffn.layers.1.* fc2.*
"""

JAX = """
cls cls
posembed_input/pos_embedding pos
Transformer/posembed_input/pos_embedding pos
pos_embedding pos
embedding/kernel patch.kernel
embedding/bias patch.bias
Transformer/encoder_norm/scale norm.weight
Transformer/encoder_norm/bias norm.bias
pre_logits/kernel pre_logits.kernel
pre_logits/bias pre_logits.bias
head/kernel head.kernel
head/bias head.bias
"""


def jax_blocks() -> dict[str, str]:
    """The parts of a layer under flax' numbered names: one count for all parts, or one for each kind of part."""
    numbered = {"norm1": "LayerNorm_0", "norm2": "LayerNorm_2", "attention": "MultiHeadDotProductAttention_1"}
    by_kind = {"norm1": "LayerNorm_0", "norm2": "LayerNorm_1", "attention": "MultiHeadDotProductAttention_0"}
    found = {}
    for names, mlp in ((numbered, "MlpBlock_3"), (by_kind, "MlpBlock_0")):
        base = "Transformer/encoderblock_#/"
        for norm in ("norm1", "norm2"):
            found[f"{base}{names[norm]}/scale"] = f"block.#.{norm}.weight"
            found[f"{base}{names[norm]}/bias"] = f"block.#.{norm}.bias"
        for leaf in ("kernel", "bias"):
            for part, role in (("query", "q"), ("key", "k"), ("value", "v"), ("out", "out")):
                found[f"{base}{names['attention']}/{part}/{leaf}"] = f"block.#.{role}.{leaf}"
            for part, role in (("Dense_0", "fc1"), ("Dense_1", "fc2")):
                found[f"{base}{mlp}/{part}/{leaf}"] = f"block.#.{role}.{leaf}"
    return found


LAYOUTS = (
    Layout("timm", "timm", table(TIMM) | inside("blocks.#", TIMM_BLOCK)),
    Layout(
        "dinov2",
        "the original DINOv2",
        table(TIMM + "register_tokens registers") | inside("blocks.# blocks.@.#", TIMM_BLOCK),
    ),
    Layout(
        "transformers", "transformers", table(HF) | inside("encoder.layer.# layers.# model.layer.# layer.#", HF_BLOCK)
    ),
    Layout("transformers-clip", "transformers' CLIP", table(HF_CLIP) | inside("encoder.layers.#", HF_CLIP_BLOCK)),
    Layout("open_clip", "open_clip", table(OPEN_CLIP) | inside("transformer.resblocks.#", OPEN_CLIP_BLOCK)),
    Layout(
        "torchvision", "torchvision", table(TORCHVISION) | inside("encoder.layers.encoder_layer_#", TORCHVISION_BLOCK)
    ),
    Layout("classic", "the classic vit-pytorch", table(CLASSIC) | inside("transformer.layers.#", CLASSIC_BLOCK)),
    Layout("vit-pytorch", "vit-pytorch", table(VIT_PYTORCH) | inside("transformer.layers.#", VIT_PYTORCH_BLOCK)),
    Layout("mmpretrain", "mmpretrain", table(MMPRETRAIN) | inside("layers.#", MMPRETRAIN_BLOCK)),
    Layout("jax", "the original JAX ViT", table(JAX) | jax_blocks(), separator="/"),
)
BY_NAME = {layout.name: layout for layout in LAYOUTS}

AXES = {
    "patch.weight": ("dim", "channels", "patch", "patch"), "patch.bias": ("dim",),
    "flat.weight": ("dim", "patch_dim"), "flat.bias": ("dim",), "flat_norm": ("patch_dim",),
    "pos": ("positions", "dim"), "cls": ("dim",), "dist": ("dim",), "mask": ("dim",), "registers": ("registers", "dim"),
    "q.weight": ("inner", "dim"), "k.weight": ("inner", "dim"), "v.weight": ("inner", "dim"),
    "q.bias": ("inner",), "k.bias": ("inner",), "v.bias": ("inner",),
    "out.weight": ("dim", "inner"), "out.bias": ("dim",), "attn_norm": ("inner",),
    "q_norm": ("dim_head",), "k_norm": ("dim_head",),
    "fc1.weight": ("mlp_dim", "dim"), "fc1.bias": ("mlp_dim",), "gate.weight": ("mlp_dim", "dim"),
    "gate.bias": ("mlp_dim",), "mlp_norm": ("mlp_dim",), "fc2.weight": ("dim", "mlp_dim"), "fc2.bias": ("dim",),
    "norm1": ("dim",), "norm2": ("dim",), "norm": ("dim",), "pre_norm": ("dim",), "ls1": ("dim",), "ls2": ("dim",),
    "fc_norm": ("dim",), "head_norm": ("dim",), "relative": ("window", "heads"),
    "head.weight": ("classes", "dim"), "head.bias": ("classes",),
    "head_dist.weight": ("classes", "dim"), "head_dist.bias": ("classes",),
    "pooler.weight": ("dim", "dim"), "pooler.bias": ("dim",),
}  # fmt: skip
"""What each axis of a role's tensor is, in its normal form."""

HEAD_ROLES = ("head", "head_dist", "head_norm", "fc_norm", "pooler", "pre_logits", "proj")
"""Roles that may stand outside the backbone that the rest is in."""


def part_of(role: str) -> str:
    """q.weight of block.3.q.weight; norm of norm.bias."""
    short = role.split(".", 2)[2] if role.startswith("block.") else role
    return short if short in AXES else short.rpartition(".")[0] or short


def block_of(role: str) -> int | None:
    return int(role.split(".")[1]) if role.startswith("block.") else None
