"""Which axes the steps of published models mix, by hand from their papers.

An output mixes an axis if one of its values depends on more than one place along that axis of the input. `axes` names
the axes of the stage's first input; windows, patches and frames that were folded into the batch stand in its place.
`over` is the axis where the attention weights of one query sum to one. In a stage's name `*` is one part of the name.
"""

from typing import Any, NamedTuple


class Published(NamedTuple):
    """A published model that shows the facts: its paper, its spec and settings that make it small, and its input."""

    paper: str
    spec: str
    settings: dict[str, Any]
    shape: tuple[int, ...]


class Fact(NamedTuple):
    """One step: which of its input's axes it mixes, and what the paper says."""

    model: str
    stage: str
    axes: str
    mixes: str
    why: str
    over: str = ""


VIT = "An Image is Worth 16x16 Words (arXiv 2010.11929)"
SWIN = "Swin Transformer (arXiv 2103.14030)"
MIXER = "MLP-Mixer (arXiv 2105.01601)"
XCIT = "XCiT: Cross-Covariance Image Transformers (arXiv 2106.09681)"
MAXVIT = "MaxViT: Multi-Axis Vision Transformer (arXiv 2204.01697)"
TIMESFORMER = "Is Space-Time Attention All You Need for Video Understanding? (arXiv 2102.05095)"
CROSSVIT = "CrossViT: Cross-Attention Multi-Scale Vision Transformer (arXiv 2103.14899)"
VIVIT = "ViViT: A Video Vision Transformer (arXiv 2103.15691)"

SMALL = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
VIT_PYTORCH = {"image_size": 32, "patch_size": 8, "num_classes": 5, "dim": 24, "depth": 1, "heads": 2, "mlp_dim": 48}
WINDOWS = {"img_size": 64, "window_size": 4, "depths": (2, 2), "embed_dim": 24, "num_heads": (2, 2)}
SWIN_HF = {"image_size": 32, "patch_size": 2, "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}
VIDEO = {"image_size": 32, "patch_size": 8, "num_frames": 3, **SMALL}
VIVIT_SIZES = {"image_size": 32, "image_patch_size": 8, "frames": 6, "frame_patch_size": 2, "num_classes": 5}
VIVIT_SIZES |= {"dim": 24, "spatial_depth": 1, "temporal_depth": 1, "heads": 2, "mlp_dim": 48, "dim_head": 12}

MODELS = {
    "vit": Published(VIT, "timm:vit_tiny_patch16_224", {"img_size": 48, "depth": 2}, (2, 3, 48, 48)),
    "vit hf": Published(VIT, "hf:ViTConfig", {"image_size": 32, "patch_size": 8, **SMALL}, (2, 3, 32, 32)),
    "vit vit-pytorch": Published(VIT, "vit_pytorch:ViT", VIT_PYTORCH, (2, 3, 32, 32)),
    "swin": Published(SWIN, "timm:swin_tiny_patch4_window7_224", WINDOWS, (2, 3, 64, 64)),
    "swin hf": Published(SWIN, "hf:SwinConfig", SWIN_HF, (2, 3, 32, 32)),
    "mixer": Published(MIXER, "timm:mixer_s32_224", {"img_size": 96}, (2, 3, 96, 96)),
    "xcit": Published(XCIT, "timm:xcit_nano_12_p16_224", {"img_size": 64, "depth": 2}, (2, 3, 64, 64)),
    "xcit vit-pytorch": Published(XCIT, "vit_pytorch.xcit:XCiT", {**VIT_PYTORCH, "cls_depth": 1}, (2, 3, 32, 32)),
    "maxvit": Published(MAXVIT, "timm:maxvit_rmlp_pico_rw_256", {"img_size": 64}, (2, 3, 64, 64)),
    "timesformer": Published(TIMESFORMER, "hf:TimesformerConfig", VIDEO, (2, 3, 3, 32, 32)),
    "vivit": Published(VIVIT, "vit_pytorch.vivit:ViViT", VIVIT_SIZES, (2, 3, 6, 32, 32)),
    "crossvit": Published(CROSSVIT, "timm:crossvit_tiny_240", {}, (2, 3, 240, 240)),
}

IMAGE = "batch features h w"
TOKENS = "batch tokens features"
MAP = "batch h w features"
WINDOW = "windows tokens features"
FRAME = "frames tokens features"

BY_MODEL: dict[str, list[tuple[str, ...]]] = {
    "vit": [
        (
            "patch_embed",
            IMAGE,
            "features h w",
            "eq. 1: flattened patches, colours and pixels, go through a linear layer",
        ),
        ("blocks.*.norm1", TOKENS, "features", "eq. 2: LayerNorm, token by token"),
        ("blocks.*.attn.qkv", TOKENS, "features", "eq. 5: one linear layer for each token"),
        ("blocks.*.attn", TOKENS, "tokens features", "eq. 2, 5-8: self-attention, heads joined by a layer", "tokens"),
        ("blocks.*.mlp", TOKENS, "features", "eq. 3: MLP, token by token"),
        ("blocks.*.mlp.act", TOKENS, "", "GELU, value by value"),
        ("blocks.*", TOKENS, "tokens features", "eq. 2 and 3"),
        ("norm", TOKENS, "features", "eq. 4"),
        ("head", "batch features", "features", "one linear layer"),
    ],
    "vit hf": [
        ("layers.*.layernorm_before", TOKENS, "features", "eq. 2"),
        ("layers.*.attention", TOKENS, "tokens features", "eq. 2, 5-8", "tokens"),
        ("layers.*.mlp", TOKENS, "features", "eq. 3"),
        ("embeddings.patch_embeddings", IMAGE, "features h w", "eq. 1"),
    ],
    "vit vit-pytorch": [
        ("to_patch_embedding.0", IMAGE, "", "pixels are cut into patches: values move, none depends on another"),
        ("to_patch_embedding", IMAGE, "features h w", "eq. 1"),
        ("transformer.layers.*.0", TOKENS, "tokens features", "eq. 2, with its norm", "tokens"),
        ("transformer.layers.*.1", TOKENS, "features", "eq. 3, with its norm"),
    ],
    "swin": [
        ("patch_embed", IMAGE, "features h w", "section 3.1: raw colours of a 4×4 patch, then a linear layer"),
        ("layers.*.blocks.*.attn", WINDOW, "tokens features", "section 3.2: within each window, eq. 4", "tokens"),
        ("layers.*.blocks.*.mlp", TOKENS, "features", "eq. 3: MLP, token by token"),
        ("layers.*.blocks.*", MAP, "h w features", "eq. 3: windows of 4×4 reach along h and w"),
        ("layers.1.downsample", MAP, "h w features", "section 3.1: 2×2 neighbours joined, a layer on 4C"),
        ("layers.1.downsample.reduction", MAP, "features", "section 3.1: the layer on 4C alone"),
        ("head.global_pool", MAP, "h w", "section A2.1: global average pooling"),
    ],
    "swin hf": [
        ("encoder.layers.*.blocks.*.attention", WINDOW, "tokens features", "section 3.2, eq. 4", "tokens"),
        ("encoder.layers.*.blocks.*.mlp", TOKENS, "features", "eq. 3"),
    ],
    "mixer": [
        ("stem", IMAGE, "features h w", "section 2: patches through one linear layer"),
        (
            "blocks.*.mlp_tokens",
            "batch features tokens",
            "tokens",
            "eq. 1: token mixing acts on columns, channel by channel",
        ),
        ("blocks.*.mlp_channels", TOKENS, "features", "eq. 1: channel mixing acts on rows, token by token"),
        ("blocks.*", TOKENS, "tokens features", "eq. 1: both"),
        ("norm", TOKENS, "features", "LayerNorm, token by token"),
    ],
    "xcit": [
        ("patch_embed", IMAGE, "features h w", "overlapping patches by convolutions"),
        (
            "blocks.*.attn",
            TOKENS,
            "tokens features",
            "channels attend to channels; tokens meet only in the sum that makes the weights",
            "features",
        ),
        ("blocks.*.local_mp", TOKENS, "tokens", "local patch interaction: two depth-wise 3×3 convolutions"),
        ("blocks.*.local_mp.conv1", IMAGE, "h w", "depth-wise 3×3"),
        ("blocks.*.mlp", TOKENS, "features", "feed-forward network, token by token"),
        (
            "blocks.*",
            TOKENS,
            "tokens features",
            "cross-covariance attention, local patch interaction, feed-forward network",
        ),
        ("cls_attn_blocks.*.attn", TOKENS, "tokens features", "class attention, as in CaiT", "tokens"),
    ],
    "xcit vit-pytorch": [
        (
            "xcit_transformer.layers.*.0.fn",
            MAP,
            "h w features",
            "cross-covariance attention, with its norm",
            "features",
        ),
        ("xcit_transformer.layers.*.1.fn.net.2", IMAGE, "h w", "depth-wise 3×3"),
        ("xcit_transformer.layers.*.1.fn", MAP, "h w features", "local patch interaction; its norm mixes features"),
        ("xcit_transformer.layers.*.2.fn", MAP, "features", "feed-forward network"),
    ],
    "maxvit": [
        ("stem", IMAGE, "features h w", "3×3 convolutions"),
        ("stages.*.blocks.*.conv", IMAGE, "features h w", "MBConv with squeeze and excitation"),
        ("stages.*.blocks.*.conv.conv1_1x1", IMAGE, "features", "the expansion of MBConv"),
        ("stages.*.blocks.*.conv.conv2_kxk", IMAGE, "h w", "the depth-wise 3×3 of MBConv"),
        ("stages.*.blocks.*.conv.se", IMAGE, "features h w", "squeeze and excitation pools the whole map"),
        ("stages.*.blocks.*.attn_block", MAP, "h w features", "block attention, in local windows"),
        ("stages.*.blocks.*.attn_grid", MAP, "h w features", "grid attention, on a dilated grid"),
        ("stages.*.blocks.*.attn_block.attn", "windows h w features", "h w features", "within a window", "h w"),
        ("stages.*.blocks.*.attn_grid.attn", "windows h w features", "h w features", "within a grid", "h w"),
        ("stages.*.blocks.*.attn_block.mlp", MAP, "features", "feed-forward network"),
    ],
    "timesformer": [
        (
            "embeddings.patch_embeddings",
            "batch frames features h w",
            "features h w",
            "each frame is cut into patches, as in ViT",
        ),
        (
            "encoder.layer.*.temporal_attention",
            "patches frames features",
            "frames features",
            "divided attention: first the same patch in all frames",
            "frames",
        ),
        ("encoder.layer.*.temporal_dense", TOKENS, "features", "a layer for each token, after attention over time"),
        (
            "encoder.layer.*.attention",
            FRAME,
            "tokens features",
            "divided attention: then all patches of one frame",
            "tokens",
        ),
        ("encoder.layer.*.intermediate", TOKENS, "features", "MLP, token by token"),
        ("layernorm", TOKENS, "features", "LayerNorm, token by token"),
    ],
    "vivit": [
        ("spatial_transformer", FRAME, "tokens features", "model 2: the spatial encoder sees one time index"),
        (
            "temporal_transformer",
            "batch frames features",
            "frames features",
            "model 2: the temporal encoder joins them",
        ),
    ],
    "crossvit": [
        ("patch_embed.*", IMAGE, "features h w", "each branch has patches of its own size"),
        ("blocks.*.blocks.*.*.attn", TOKENS, "tokens features", "the encoder of one branch, as in ViT", "tokens"),
        ("blocks.*.blocks.*.*.mlp", TOKENS, "features", "the encoder of one branch, as in ViT"),
        ("blocks.*.projs.*", TOKENS, "features", "the class token is projected to the other branch's width"),
        (
            "blocks.*.fusion.*.attn",
            TOKENS,
            "tokens features",
            "cross-attention: the class token asks the other branch's patches",
            "tokens",
        ),
        ("blocks.*.fusion.*", TOKENS, "tokens features", "cross-attention with a residual of the class token"),
        ("blocks.*.fusion.*.attn.wk", TOKENS, "features", "keys, by one layer for each token"),
        ("head.*", "batch features", "features", "one linear layer for each branch"),
    ],
}

FACTS = [Fact(model, *row) for model, rows in BY_MODEL.items() for row in rows]
