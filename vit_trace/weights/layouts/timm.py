"""Names the parts of timm's Vision Transformers, and of the originals of DINOv2, DINOv3, MAE, SAM and Swin."""

from vit_trace.weights.layouts import register_layouts

LAYER = """
norm1.* norm1.*
qkv.* attn.qkv.*
q.* attn.q_proj.*
k.* attn.k_proj.*
v.* attn.v_proj.*
q.bias attn.q_bias
v.bias attn.v_bias
q_norm.* attn.q_norm.*
k_norm.* attn.k_norm.*
attn_norm.* attn.norm.* attn.inner_attn_ln.*
out.* attn.proj.*
relative attn.relative_position_bias_table
index attn.relative_position_index
logit_scale attn.logit_scale
cpb.0.* attn.cpb_mlp.0.*
cpb.2.weight attn.cpb_mlp.2.weight
rel_h attn.rel_pos_h
rel_w attn.rel_pos_w
ls1 ls1.gamma gamma_1
ls2 ls2.gamma gamma_2
norm2.* norm2.*
fc1.* mlp.fc1.* mlp.fc1_x.* mlp.w12.*
gate.* mlp.fc1_g.*
mlp_norm.* mlp.norm.*
fc2.* mlp.fc2.* mlp.w3.*
"""
TIMM = f"""
layout timm 1 timm
cls cls_token
pos pos_embed
registers reg_token
dist dist_token
mask mask_token masked_embed
shared_relative rel_pos_bias.relative_position_bias_table
index rel_pos_bias.relative_position_index
patch.* patch_embed.proj.*
pre_norm.* norm_pre.*
norm.* norm.*
fc_norm.* fc_norm.*
pool.latent attn_pool.latent
pool.q.* attn_pool.q.*
pool.kv.* attn_pool.kv.*
pool.out.* attn_pool.proj.*
pool.norm.* attn_pool.norm.*
pool.fc1.* attn_pool.mlp.fc1.*
pool.fc2.* attn_pool.mlp.fc2.*
head.* head.*
head_dist.* head_dist.*
neck.0.* neck.0.*
neck.1.* neck.1.*
neck.2.* neck.2.*
neck.3.* neck.3.*
decoder.pos decoder_pos_embed
decoder.embed.* decoder_embed.*
decoder.norm.* decoder_norm.*
decoder.pred.* decoder_pred.*
in decoder_blocks.#. : decoder.#.
{LAYER}
in blocks.#.
{LAYER}"""
DINOV2 = TIMM.replace("timm 1 timm", "dinov2 2 the original DINOv2").replace(
    "registers reg_token", "registers register_tokens"
)
DINOV3 = (
    TIMM.replace("timm 1 timm", "dinov3 2 the original DINOv3")
    .replace("registers reg_token", "registers storage_tokens\nindex rope_embed.periods")
    .replace("index attn.", "index attn.qkv.bias_mask attn.")
)
SWIN = f"""
layout swin 11 the original Swin
patch.* patch_embed.proj.*
patch_norm.* patch_embed.norm.*
norm.* norm.*
head.* head.*
merge.#.norm.* layers.#.downsample.norm.*
merge.#.reduction.* layers.#.downsample.reduction.*
in layers.@.blocks.#. : block.@_#.
mask attn_mask
{LAYER}"""

register_layouts(TIMM)
register_layouts(DINOV2.replace("in blocks.#.", "in blocks.#. blocks.@.#."))
register_layouts(TIMM.replace("timm 1 timm", "sam 2 the original SAM").replace("mlp.fc", "mlp.lin"))
register_layouts(DINOV3)
register_layouts(SWIN)
register_layouts(
    SWIN.replace("swin 11 the original Swin", "timm-swin 10 timm's Swin")
    .replace("merge.#.", "merge.#-.")
    .replace("head.* head.*", "head.* head.fc.*")
)
