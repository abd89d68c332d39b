"""Names of vit-pytorch: of its classic version, which the built-in ViT shares, and of today's."""

from __future__ import annotations

from vit_trace.weights.layouts import LibraryLayout, in_blocks, register_layout, table

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

CONTAINER = "transformer.layers.#"

register_layout(
    LibraryLayout("classic", "the classic vit-pytorch", 7, table(CLASSIC) | in_blocks(CONTAINER, CLASSIC_BLOCK))
)

register_layout(
    LibraryLayout("vit-pytorch", "vit-pytorch", 8, table(VIT_PYTORCH) | in_blocks(CONTAINER, VIT_PYTORCH_BLOCK))
)
