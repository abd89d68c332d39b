"""Names of open_clip's image towers."""

from __future__ import annotations

from vit_trace.weights.layouts import LibraryLayout, in_blocks, register_layout, table

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

register_layout(
    LibraryLayout("open_clip", "open_clip", 5, table(OPEN_CLIP) | in_blocks("transformer.resblocks.#", OPEN_CLIP_BLOCK))
)
