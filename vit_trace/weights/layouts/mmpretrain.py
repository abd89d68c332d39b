"""Names the parts of mmpretrain's Vision Transformers."""

from __future__ import annotations

from vit_trace.weights.layouts import register_layout

MMPRETRAIN = """
cls cls_token
pos pos_embed
patch.* patch_embed.projection.*
norm.* ln1.*
head.* head.layers.head.*
in layers.#.
norm1.* ln1.*
qkv.* attn.qkv.*
out.* attn.proj.*
norm2.* ln2.*
fc1.* ffn.layers.0.0.*
fc2.* ffn.layers.1.*
"""

register_layout("mmpretrain", "mmpretrain", 9, MMPRETRAIN)
