"""Names of mmpretrain's Vision Transformers."""

from __future__ import annotations

from vit_trace.weights.layouts import LibraryLayout, in_blocks, register_layout, table

MMPRETRAIN = """
cls_token cls
pos_embed pos
patch_embed.projection.* patch.*
ln1.* norm.*
head.layers.head.* head.*
"""
MMPRETRAIN_BLOCK = """
ln1.* norm1.*
attn.qkv.* qkv.*
attn.proj.* out.*
ln2.* norm2.*
ffn.layers.0.0.* fc1.*
ffn.layers.1.* fc2.*
"""

register_layout(
    LibraryLayout("mmpretrain", "mmpretrain", 9, table(MMPRETRAIN) | in_blocks("layers.#", MMPRETRAIN_BLOCK))
)
