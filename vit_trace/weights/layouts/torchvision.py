"""Names the parts of torchvision's Vision Transformers."""

from __future__ import annotations

from vit_trace.weights.layouts import register_layout

TORCHVISION = """
cls class_token
patch.* conv_proj.*
pos encoder.pos_embedding
norm.* encoder.ln.*
head.* heads.head.*
in encoder.layers.encoder_layer_#.
norm1.* ln_1.*
qkv.weight self_attention.in_proj_weight
qkv.bias self_attention.in_proj_bias
out.* self_attention.out_proj.*
norm2.* ln_2.*
fc1.* mlp.0.* mlp.linear_1.*
fc2.* mlp.3.* mlp.linear_2.*
"""

register_layout("torchvision", "torchvision", 6, TORCHVISION)
