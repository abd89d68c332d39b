"""Names the parts of the Vision Transformers of mmpretrain, open_clip (its image towers) and torchvision."""

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

register_layout("mmpretrain", "mmpretrain", 9, MMPRETRAIN)
register_layout("open_clip", "open_clip", 5, OPEN_CLIP)
register_layout("torchvision", "torchvision", 6, TORCHVISION)
