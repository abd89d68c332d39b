"""Names the parts of open_clip's image towers."""

from __future__ import annotations

from vit_trace.weights.layouts import register_layout

OPEN_CLIP = """
cls class_embedding
pos positional_embedding
patch.* conv1.*
pre_norm.* ln_pre.*
norm.* ln_post.*
proj proj
in transformer.resblocks.#.
norm1.* ln_1.*
qkv.weight attn.in_proj_weight
qkv.bias attn.in_proj_bias
out.* attn.out_proj.*
ls1 ls_1.gamma
ls2 ls_2.gamma
norm2.* ln_2.*
fc1.* mlp.c_fc.*
fc2.* mlp.c_proj.*
"""

register_layout("open_clip", "open_clip", 5, OPEN_CLIP)
