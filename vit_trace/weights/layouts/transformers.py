"""Names of Hugging Face's Vision Transformers and of its CLIP."""

from __future__ import annotations

from vit_trace.weights.layouts import LibraryLayout, in_blocks, register_layout, table

HF = """
embeddings.cls_token cls
embeddings.position_embeddings pos
embeddings.distillation_token dist
embeddings.register_tokens registers
embeddings.mask_token mask
embeddings.patch_embeddings.projection.* patch.*
embeddings.patch_embeddings.* patch.*
layernorm.* norm.*
norm.* norm.*
pooler.dense.* pooler.*
pooler.layernorm.* fc_norm.*
classifier.* head.*
cls_classifier.* head.*
distillation_classifier.* head_dist.*
"""
HF_BLOCK = """
layernorm_before.* norm1.*
norm1.* norm1.*
attention.attention.query.* q.*
attention.attention.key.* k.*
attention.attention.value.* v.*
attention.q_proj.* q.*
attention.k_proj.* k.*
attention.v_proj.* v.*
attention.output.dense.* out.*
attention.o_proj.* out.*
attention.attention.relative_position_bias.relative_position_bias_table relative
attention.relative_position_bias.relative_position_bias_table relative
attention.attention.relative_position_bias.relative_position_index index
attention.relative_position_bias.relative_position_index index
layer_scale1.lambda1 ls1
layer_scale2.lambda1 ls2
lambda_1 ls1
lambda_2 ls2
layernorm_after.* norm2.*
norm2.* norm2.*
intermediate.dense.* fc1.*
output.dense.* fc2.*
mlp.fc1.* fc1.*
mlp.fc2.* fc2.*
mlp.weights_in.* fc1.*
mlp.weights_out.* fc2.*
mlp.gate_proj.* gate.*
mlp.up_proj.* fc1.*
mlp.down_proj.* fc2.*
"""
HF_CLIP = """
embeddings.class_embedding cls
embeddings.patch_embedding.* patch.*
embeddings.position_embedding.weight pos
embeddings.position_ids index
pre_layrnorm.* pre_norm.*
post_layernorm.* norm.*
visual_projection.weight proj
"""
HF_CLIP_BLOCK = """
layer_norm1.* norm1.*
self_attn.q_proj.* q.*
self_attn.k_proj.* k.*
self_attn.v_proj.* v.*
self_attn.out_proj.* out.*
layer_norm2.* norm2.*
mlp.fc1.* fc1.*
mlp.fc2.* fc2.*
"""

HF_CONTAINERS = "encoder.layer.# layers.# model.layer.# layer.#"

register_layout(LibraryLayout("transformers", "transformers", 3, table(HF) | in_blocks(HF_CONTAINERS, HF_BLOCK)))

register_layout(
    LibraryLayout(
        "transformers-clip", "transformers' CLIP", 4, table(HF_CLIP) | in_blocks("encoder.layers.#", HF_CLIP_BLOCK)
    )
)
