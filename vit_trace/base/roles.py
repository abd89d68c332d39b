"""Names the hyperparameters of all libraries by their role: the one table of what each library calls what."""

import re
from collections.abc import Callable, Iterable
from typing import Any

Path = tuple[str | int, ...]
"""Where a value stands in nested arguments: ("vision_config", "hidden_size")."""


def _names(**table: str) -> dict[str, tuple[str, ...]]:
    return {role: tuple(names.split()) for role, names in table.items()}


ROLES = _names(
    channels="num_channels in_chans in_channels channels n_input_channels image_channels in_ch in_chan"
    " img_channels n_channels input_channels chans in_c",
    classes="num_classes num_labels n_classes classes nb_classes n_class num_class n_out num_outputs num_cls",
    image="image_size img_size crop_size input_size image img resolution input_resolution image_resolution"
    " im_size imgsize image_height image_width",
    frames="num_frames frames_per_clip frames max_frames",
    length="seq_len seq_length",
    patch="patch_size image_patch_size patch ps patchsize patch_sz p_size patch_height patch_width local_patch_size",
    frame_patch="tubelet_size frame_patch_size",
    dim="dim embed_dim hidden_size hidden_dim d_model width dims embed_dims hidden_sizes block_channels hidden"
    " embedding_dim emb_dim model_dim n_embd emb_size embed_size token_dim",
    heads="num_attention_heads num_heads heads n_heads attention_heads encoder_attention_heads n_head nhead"
    " num_head head_count head_num",
    dim_head="dim_head head_dim attn_head_dim attention_head_dim dim_conv_head head_size d_head",
    mlp_dim="mlp_dim intermediate_size mlp_hidden_dim ffn_dim encoder_ffn_dim mlp_hidden dim_feedforward ff_dim"
    " d_ff mlp_size hidden_mlp",
    window="window_size attn_window_size partition_size",
)
"""Names of sizes by role, in the order to look for them. A parameter of such a name has that role in every library."""

SETTINGS = _names(
    depth="depth depths num_hidden_layers num_layers layers n_layers num_blocks n_layer stages",
    mlp_ratio="mlp_ratio",
    pool="pool global_pool pooling pool_type",
    registers="registers reg_tokens num_register_tokens register_tokens",
    dropout="dropout drop_rate hidden_dropout_prob dropout_rate drop",
    emb_dropout="emb_dropout pos_drop_rate embedding_dropout embed_dropout",
    batch="batch_size batch bs n_batch",
)
"""Names of what is not a size, or is never varied, by role."""

CLIP_CHANNELS = (1, 3)
"""Channels of a clip or a volume, where nothing else says which of its axes has them."""

RATIO = re.compile(r"ratio|scale|mult|factor|expan|_mul$")
"""Names of fractions that sizes are multiplied by."""


def role_named(name: str) -> str:
    """The role of a size by its name; "" where it has none."""
    return next((role for role, names in ROLES.items() if name in names), "")


def other_names(name: str) -> tuple[str, ...]:
    """All names of what `name` is a name of: embed_dim and hidden_size for dim; none for an unknown name."""
    return next((names for names in (ROLES | SETTINGS).values() if name in names), ())


def same_role(name: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that mean the same as `name`."""
    words = other_names(name)
    return [one for one in names if one in words]


def value_of(role: str, get: Callable[[str], Any]) -> Any:
    """The first value that `get` has under a name of the role; None where it has none."""
    return next((value for name in ROLES[role] if (value := get(name)) is not None), None)
