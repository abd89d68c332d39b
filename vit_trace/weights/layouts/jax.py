"""Names the parts of the original JAX ViT, which flax numbers: one count for all, or one for each kind of part."""

from vit_trace.weights.layouts import register_layout

JAX = """
cls cls
pos posembed_input/pos_embedding Transformer/posembed_input/pos_embedding pos_embedding
patch.* embedding/*
norm.weight Transformer/encoder_norm/scale
norm.bias Transformer/encoder_norm/bias
pre_logits.* pre_logits/*
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
"""

register_layout("jax", "the original JAX ViT", 10, JAX)
