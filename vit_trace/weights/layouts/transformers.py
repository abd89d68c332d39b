"""Names the parts of Hugging Face's Vision Transformers and of its CLIP."""

from vit_trace.weights.layouts import register_layouts

register_layouts("""
layout transformers 3 transformers
cls embeddings.cls_token
pos embeddings.position_embeddings
dist embeddings.distillation_token
registers embeddings.register_tokens
mask embeddings.mask_token
patch.* embeddings.patch_embeddings.projection.* embeddings.patch_embeddings.*
norm.* layernorm.* norm.*
pooler.* pooler.dense.*
fc_norm.* pooler.layernorm.*
head.* classifier.* cls_classifier.*
head_dist.* distillation_classifier.*
in encoder.layer.#. layers.#. model.layer.#. layer.#.
norm1.* layernorm_before.* norm1.*
q.* attention.attention.query.* attention.q_proj.*
k.* attention.attention.key.* attention.k_proj.*
v.* attention.attention.value.* attention.v_proj.*
out.* attention.output.dense.* attention.o_proj.*
relative attention.attention.relative_position_bias.relative_position_bias_table
relative attention.relative_position_bias.relative_position_bias_table
index attention.attention.relative_position_bias.relative_position_index
index attention.relative_position_bias.relative_position_index
ls1 layer_scale1.lambda1 lambda_1
ls2 layer_scale2.lambda1 lambda_2
norm2.* layernorm_after.* norm2.*
fc1.* intermediate.dense.* mlp.fc1.* mlp.weights_in.* mlp.up_proj.*
fc2.* output.dense.* mlp.fc2.* mlp.weights_out.* mlp.down_proj.*
gate.* mlp.gate_proj.*

layout transformers-clip 4 transformers' CLIP
cls embeddings.class_embedding
patch.* embeddings.patch_embedding.*
pos embeddings.position_embedding.weight
index embeddings.position_ids
pre_norm.* pre_layrnorm.*
norm.* post_layernorm.*
proj visual_projection.weight
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
