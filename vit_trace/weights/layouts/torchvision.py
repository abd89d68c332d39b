"""Names of torchvision's Vision Transformers."""

from __future__ import annotations

from vit_trace.weights.layouts import LibraryLayout, in_blocks, register_layout, table

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

CONTAINER = "encoder.layers.encoder_layer_#"

register_layout(
    LibraryLayout("torchvision", "torchvision", 6, table(TORCHVISION) | in_blocks(CONTAINER, TORCHVISION_BLOCK))
)
