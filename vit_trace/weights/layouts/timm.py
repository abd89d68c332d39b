"""Names the parts of timm's Vision Transformers and of the original DINOv2."""

from vit_trace.weights.layouts import register_layouts

TIMM = """
layout timm 1 timm
cls cls_token
pos pos_embed
registers reg_token
dist dist_token
mask mask_token
patch.* patch_embed.proj.*
pre_norm.* norm_pre.*
norm.* norm.*
fc_norm.* fc_norm.*
head.* head.*
head_dist.* head_dist.*
in blocks.#.
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
ls1 ls1.gamma gamma_1
ls2 ls2.gamma gamma_2
norm2.* norm2.*
fc1.* mlp.fc1.* mlp.fc1_x.* mlp.w12.*
gate.* mlp.fc1_g.*
mlp_norm.* mlp.norm.*
fc2.* mlp.fc2.* mlp.w3.*
"""
DINOV2 = TIMM.replace("timm 1 timm", "dinov2 2 the original DINOv2")

register_layouts(TIMM)
register_layouts(DINOV2.replace("in blocks.#.", "registers register_tokens\nin blocks.#. blocks.@.#."))
