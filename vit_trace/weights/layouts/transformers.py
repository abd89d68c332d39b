"""Names the parts of Hugging Face's Vision Transformers and of its CLIP."""

from vit_trace.weights.layouts import register_layouts

LAYER = """
norm1.* layernorm_before.* norm1.*
q.* attention.attention.query.* attention.q_proj.*
k.* attention.attention.key.* attention.k_proj.*
v.* attention.attention.value.* attention.v_proj.*
out.* attention.output.dense.* attention.o_proj.*
relative attention.attention.relative_position_bias.relative_position_bias_table
relative attention.relative_position_bias.relative_position_bias_table
relative relative_position_bias.relative_position_bias_table
index relative_position_bias.relative_position_index
index attention.attention.relative_position_bias.relative_position_index
index attention.relative_position_bias.relative_position_index
ls1 layer_scale1.lambda1 lambda_1
ls2 layer_scale2.lambda1 lambda_2
norm2.* layernorm_after.* norm2.*
fc1.* intermediate.dense.* mlp.fc1.* mlp.weights_in.* mlp.up_proj.*
fc2.* output.dense.* mlp.fc2.* mlp.weights_out.* mlp.down_proj.*
gate.* mlp.gate_proj.*
"""

register_layouts(f"""
layout transformers 3 transformers
cls embeddings.cls_token
pos embeddings.position_embeddings
dist embeddings.distillation_token
registers embeddings.register_tokens
mask embeddings.mask_token decoder.mask_token
detection embeddings.detection_tokens
shared_relative encoder.relative_position_bias.relative_position_bias_table
shared_relative relative_position_bias.relative_position_bias_table
shared_relative shared_position_bias.relative_position_bias_table
decoder.pos decoder.decoder_pos_embed
decoder.embed.* decoder.decoder_embed.*
decoder.norm.* decoder.decoder_norm.*
decoder.pred.* decoder.decoder_pred.*
patch.* embeddings.patch_embeddings.projection.* embeddings.patch_embeddings.*
norm.* layernorm.* norm.*
pooler.* pooler.dense.*
fc_norm.* pooler.layernorm.*
head.* classifier.* cls_classifier.*
head_dist.* distillation_classifier.*
in encoder.layer.#. layers.#. model.layer.#. layer.#.
{LAYER}
in decoder.decoder_layers.#. decoder.decoder_layers.layer.#. : decoder.#.
{LAYER}
layout transformers-clip 4 transformers' CLIP
cls embeddings.class_embedding
patch.* embeddings.patch_embedding.*
pos embeddings.position_embedding.weight
index embeddings.position_ids
pre_norm.* pre_layrnorm.*
norm.* post_layernorm.*
pool.latent head.probe
pool.qkv.weight head.attention.in_proj_weight
pool.qkv.bias head.attention.in_proj_bias
pool.out.* head.attention.out_proj.*
pool.norm.* head.layernorm.*
pool.fc1.* head.mlp.fc1.*
pool.fc2.* head.mlp.fc2.*
proj.weight visual_projection.weight
in encoder.layers.#.
norm1.* layer_norm1.*
q.* self_attn.q_proj.*
k.* self_attn.k_proj.*
v.* self_attn.v_proj.*
out.* self_attn.out_proj.*
norm2.* layer_norm2.*
fc1.* mlp.fc1.*
fc2.* mlp.fc2.*
""")
register_layouts(f"""
layout transformers-swin 12 transformers' Swin
patch.* embeddings.patch_embeddings.projection.*
patch_norm.* embeddings.norm.*
norm.* layernorm.*
head.* classifier.*
merge.#.norm.* encoder.layers.#.downsample.norm.*
merge.#.reduction.* encoder.layers.#.downsample.reduction.*
in encoder.layers.@.blocks.#. : block.@_#.
relative attention.self.relative_position_bias_table
index attention.self.relative_position_index
logit_scale attention.self.logit_scale
cpb.0.* attention.self.continuous_position_bias_mlp.0.*
cpb.2.weight attention.self.continuous_position_bias_mlp.2.weight
q.* attention.self.query.*
k.* attention.self.key.*
v.* attention.self.value.*
{LAYER}""")
register_layouts("""
layout transformers-sam 13 transformers' SAM
pos pos_embed
patch.* patch_embed.projection.*
neck.0.* neck.conv1.*
neck.1.* neck.layer_norm1.*
neck.2.* neck.conv2.*
neck.3.* neck.layer_norm2.*
in layers.#.
norm1.* layer_norm1.*
qkv.* attn.qkv.*
out.* attn.proj.*
rel_h attn.rel_pos_h
rel_w attn.rel_pos_w
norm2.* layer_norm2.*
fc1.* mlp.lin1.*
fc2.* mlp.lin2.*
""")
