"""Names the parts of the ViTs of mmpretrain, open_clip (its image towers), torchvision, vit-pytorch and JAX.

The classic vit-pytorch has the names of the built-in ViT. The original JAX ViT is numbered by flax: with one count for
all parts, or one for each kind of part.
"""

from vit_trace.weights.layouts import register_layouts

register_layouts("""
layout mmpretrain 9 mmpretrain
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

layout open_clip 5 open_clip
cls class_embedding
pos positional_embedding
patch.* conv1.*
pre_norm.* ln_pre.*
norm.* ln_post.*
proj.kernel proj
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

layout torchvision 6 torchvision
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

layout classic 7 the classic vit-pytorch
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

layout vit-pytorch 8 vit-pytorch
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

layout jax 10 the original JAX ViT
cls cls
pos posembed_input/pos_embedding Transformer/posembed_input/pos_embedding pos_embedding
patch.* embedding/*
norm.weight Transformer/encoder_norm/scale
norm.bias Transformer/encoder_norm/bias
pre_logits.* pre_logits/*
pool.latent MAPHead_0/probe
pool.q.* MAPHead_0/MultiHeadDotProductAttention_0/query/*
pool.k.* MAPHead_0/MultiHeadDotProductAttention_0/key/*
pool.v.* MAPHead_0/MultiHeadDotProductAttention_0/value/*
pool.out.* MAPHead_0/MultiHeadDotProductAttention_0/out/*
pool.norm.weight MAPHead_0/LayerNorm_0/scale
pool.norm.bias MAPHead_0/LayerNorm_0/bias
pool.fc1.* MAPHead_0/MlpBlock_0/Dense_0/*
pool.fc2.* MAPHead_0/MlpBlock_0/Dense_1/*
head.* head/*
in Transformer/encoderblock_#/
norm1.weight LayerNorm_0/scale
norm1.bias LayerNorm_0/bias
q.* MultiHeadDotProductAttention_1/query/* MultiHeadDotProductAttention_0/query/*
k.* MultiHeadDotProductAttention_1/key/* MultiHeadDotProductAttention_0/key/*
v.* MultiHeadDotProductAttention_1/value/* MultiHeadDotProductAttention_0/value/*
out.* MultiHeadDotProductAttention_1/out/* MultiHeadDotProductAttention_0/out/*
norm2.weight LayerNorm_2/scale LayerNorm_1/scale
norm2.bias LayerNorm_2/bias LayerNorm_1/bias
fc1.* MlpBlock_3/Dense_0/* MlpBlock_0/Dense_0/*
fc2.* MlpBlock_3/Dense_1/* MlpBlock_0/Dense_1/*
""")
