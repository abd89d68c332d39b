"""What libraries call a hyperparameter: names by role."""

from __future__ import annotations

Path = tuple[str | int, ...]

ROLES = {
    "channels": {"in_chans", "in_channels", "num_channels", "channels", "n_input_channels", "image_channels"}
    | {"in_ch", "in_chan", "img_channels", "n_channels", "input_channels", "chans", "in_c"},
    "classes": {"num_classes", "num_labels", "n_classes"}
    | {"classes", "nb_classes", "n_class", "num_class", "n_out", "num_outputs", "num_cls"},
    "image": {"img_size", "image_size", "input_size", "crop_size", "image_height", "image_width"}
    | {"image", "img", "resolution", "input_resolution", "im_size", "imgsize"},
    "frames": {"frames", "num_frames", "frames_per_clip", "max_frames"},
    "patch": {"patch_size", "image_patch_size", "patch_height", "patch_width", "local_patch_size"}
    | {"patch", "ps", "patchsize", "p_size"},
    "frame_patch": {"frame_patch_size", "tubelet_size"},
    "dim": {"dim", "embed_dim", "hidden_size", "hidden_dim", "d_model", "width"}
    | {"dims", "embed_dims", "hidden_sizes", "block_channels"}
    | {"hidden", "embedding_dim", "emb_dim", "model_dim", "n_embd", "emb_size", "embed_size", "token_dim"},
    "heads": {"heads", "num_heads", "num_attention_heads", "n_heads", "attention_heads", "encoder_attention_heads"}
    | {"n_head", "nhead", "num_head", "head_count", "head_num"},
    "dim_head": {"dim_head", "head_dim", "attn_head_dim", "attention_head_dim", "dim_conv_head"},
    "mlp_dim": {"mlp_dim", "intermediate_size", "mlp_hidden_dim", "ffn_dim", "encoder_ffn_dim"}
    | {"mlp_hidden", "dim_feedforward", "ff_dim", "d_ff", "mlp_size", "hidden_mlp"},
    "window": {"window_size", "attn_window_size", "partition_size"},
}
"""What a parameter of such a name is, whatever the library."""


def role_named(name: str) -> str:
    """The role of a hyperparameter by its name; "" where no library's name fits."""
    return next((role for role, names in ROLES.items() if name in names), "")
