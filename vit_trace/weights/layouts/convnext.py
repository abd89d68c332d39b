"""Names the parts of ConvNeXt in timm, transformers, torchvision and the original."""

from vit_trace.weights.layouts import register_layouts

register_layouts("""
layout timm-convnext 10 timm's ConvNeXt
patch.* stem.0.*
patch_norm.* stem.1.*
norm.* head.norm.*
head.* head.fc.*
merge.#.norm.* stages.#.downsample.0.*
merge.#.reduction.* stages.#.downsample.1.*
in stages.@.blocks.#. : block.@_#.
ls1 gamma
dw.* conv_dw.*
norm1.* norm.*
fc1.* mlp.fc1.*
grn.* mlp.grn.*
fc2.* mlp.fc2.*
layout transformers-convnext 12 transformers' ConvNeXt
patch.* embeddings.patch_embeddings.*
patch_norm.* embeddings.layernorm.*
norm.* layernorm.*
head.* classifier.*
merge.#.norm.* encoder.stages.#.downsampling_layer.0.*
merge.#.reduction.* encoder.stages.#.downsampling_layer.1.*
in encoder.stages.@.layers.#. : block.@_#.
ls1 layer_scale_parameter
dw.* dwconv.*
norm1.* layernorm.*
fc1.* pwconv1.*
grn.* grn.*
fc2.* pwconv2.*
layout convnext 11 the original ConvNeXt
patch.* downsample_layers.0.0.*
patch_norm.* downsample_layers.0.1.*
norm.* norm.*
head.* head.*
merge.1.norm.* downsample_layers.1.0.*
merge.2.norm.* downsample_layers.2.0.*
merge.3.norm.* downsample_layers.3.0.*
merge.1.reduction.* downsample_layers.1.1.*
merge.2.reduction.* downsample_layers.2.1.*
merge.3.reduction.* downsample_layers.3.1.*
in stages.@.#. : block.@_#.
ls1 gamma
dw.* dwconv.*
norm1.* norm.*
fc1.* pwconv1.*
grn.weight grn.gamma
grn.bias grn.beta
fc2.* pwconv2.*
""")

STAGES = range(4)
"""Stages of torchvision's models, each in a module of its own behind the one that halves its images."""

register_layouts(
    """
layout torchvision-convnext 13 torchvision's ConvNeXt
patch.* features.0.0.*
patch_norm.* features.0.1.*
norm.* classifier.0.*
head.* classifier.2.*
"""
    + "\n".join(
        f"""
merge.{stage}.norm.* features.{2 * stage}.0.*
merge.{stage}.reduction.* features.{2 * stage}.1.*"""
        for stage in STAGES[1:]
    )
    + "\n".join(
        f"""
in features.{2 * stage + 1}.#. : block.{stage}_#.
ls1 layer_scale
dw.* block.0.*
norm1.* block.2.*
fc1.* block.3.*
fc2.* block.5.*"""
        for stage in STAGES
    )
)
register_layouts(
    """
layout torchvision-swin 13 torchvision's Swin
patch.* features.0.0.*
patch_norm.* features.0.2.*
norm.* norm.*
head.* head.*
"""
    + "\n".join(
        f"""
merge.{stage - 1}.norm.* features.{2 * stage}.norm.*
merge.{stage - 1}.reduction.* features.{2 * stage}.reduction.*"""
        for stage in STAGES[1:]
    )
    + "\n".join(
        f"""
in features.{2 * stage + 1}.#. : block.{stage}_#.
norm1.* norm1.*
qkv.* attn.qkv.*
out.* attn.proj.*
relative attn.relative_position_bias_table
index attn.relative_position_index
logit_scale attn.logit_scale
cpb.0.* attn.cpb_mlp.0.*
cpb.2.weight attn.cpb_mlp.2.weight
norm2.* norm2.*
fc1.* mlp.0.*
fc2.* mlp.3.*"""
        for stage in STAGES
    )
)
