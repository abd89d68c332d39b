"""Names of timm's Vision Transformers and of the original DINOv2."""

from __future__ import annotations

from vit_trace.weights.layouts import LibraryLayout, in_blocks, register_layout, table

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

register_layout(LibraryLayout("timm", "timm", 1, table(TIMM) | in_blocks("blocks.#", TIMM_BLOCK)))
register_layout(
    LibraryLayout(
        "dinov2",
        "the original DINOv2",
        2,
        table(TIMM + "register_tokens registers") | in_blocks("blocks.# blocks.@.#", TIMM_BLOCK),
    )
)
