"""The hyperparameters of the built-in ViT: which there are, their reference values, limits and other names.

Knows nothing of how they are written in a file or typed.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from vit_trace.base.trace import Source

Value = tuple[int, int] | int | float | str


class ViTConfig(Struct, frozen=True):
    """The built-in ViT's hyperparameters and the batch it is traced with; sizes are (height, width)."""

    image_size: tuple[int, int] = (256, 256)
    patch_size: tuple[int, int] = (32, 32)
    num_classes: int = 20
    dim: int = 1024
    depth: int = 6
    heads: int = 16
    mlp_dim: int = 2048
    pool: Literal["cls", "mean"] = "cls"
    channels: int = 3
    dim_head: int = 64
    dropout: float = 0.1
    emb_dropout: float = 0.1
    batch_size: int = 5


REFERENCE = ViTConfig()
KEYS = ViTConfig.__struct_fields__

MAX_COUNT = 2**31 - 1
MAX_DEPTH = 10_000  # every layer is built, so an absurd depth would never end

# The names that other code bases use for the same thing.
SYNONYMS = {
    "image_size": "img_size input_size resolution image img image_resolution size",
    "patch_size": "patch patches patch_sz",
    "num_classes": "classes n_classes num_labels nb_classes",
    "dim": "hidden_size embed_dim hidden_dim embedding_dim d_model width emb_dim",
    "depth": "num_layers num_hidden_layers layers n_layers num_blocks n_layer",
    "heads": "num_heads n_heads num_attention_heads n_head attention_heads",
    "mlp_dim": "mlp_ratio intermediate_size ffn_dim mlp_size mlp_hidden_dim d_ff",
    "pool": "pooling global_pool pool_type",
    "channels": "in_chans in_channels num_channels input_channels",
    "dim_head": "head_dim head_size d_head",
    "dropout": "drop_rate hidden_dropout_prob dropout_rate drop",
    "emb_dropout": "pos_drop_rate embedding_dropout embed_dropout",
    "batch_size": "batch bs n_batch",
}
_KEY_OF_SYNONYM = {synonym: key for key, synonyms in SYNONYMS.items() for synonym in synonyms.split()}


class Setting(Struct, frozen=True):
    """One hyperparameter that the user gave, and where."""

    name: str
    value: Value
    span: Source


def nearest_key(name: str) -> str | None:
    """The key that a name is likely meant for: the same but for case or dashes, a synonym, or a near spelling."""
    from difflib import get_close_matches

    plain = re.sub("[^a-z0-9]+", "_", name[:64].lower()).strip("_")
    if plain in KEYS:
        return plain
    if plain in _KEY_OF_SYNONYM:
        return _KEY_OF_SYNONYM[plain]
    near = get_close_matches(plain, [*KEYS, *_KEY_OF_SYNONYM], n=1, cutoff=0.7)
    return _KEY_OF_SYNONYM.get(near[0], near[0]) if near else None
