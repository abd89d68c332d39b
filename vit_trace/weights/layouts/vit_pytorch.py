"""Names the parts of vit-pytorch's: of its classic version, which the built-in ViT shares, and of today's."""

from vit_trace.weights.layouts import register_layout

CLASSIC = """
pos pos_embedding
cls cls_token
flat.* to_patch_embedding.1.*
head_norm.* mlp_head.0.*
head.* mlp_head.1.*
in transformer.layers.#.
norm1.* 0.norm.*
qkv.* 0.fn.to_qkv.*
out.* 0.fn.to_out.0.*
norm2.* 1.norm.*
fc1.* 1.fn.net.0.*
fc2.* 1.fn.net.3.*
"""
VIT_PYTORCH = """
pos pos_embedding
cls cls_token
registers register_tokens
flat_norm.* to_patch_embedding.1.*
flat.* to_patch_embedding.2.*
pre_norm.* to_patch_embedding.3.*
norm.* transformer.norm.*
head.* mlp_head.* linear_head.*
in transformer.layers.#.
norm1.* 0.norm.*
qkv.* 0.to_qkv.*
out.* 0.to_out.0.* 0.to_out.*
norm2.* 1.net.0.*
fc1.* 1.net.1.*
fc2.* 1.net.4.* 1.net.3.*
"""

register_layout("classic", "the classic vit-pytorch", 7, CLASSIC)
register_layout("vit-pytorch", "vit-pytorch", 8, VIT_PYTORCH)
