"""Defines the hyperparameters of the built-in ViT: their defaults, limits and other names."""

import re
from typing import Literal

from msgspec import Struct

from vit_trace.base.roles import other_names
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
"""Largest size; a larger one is refused."""

MAX_DEPTH = 10_000
"""Most layers: each is built, so more would take too long and are refused."""

OTHER_NAMES = {name: key for key in KEYS for name in other_names(key)} | {"mlp_ratio": "mlp_dim", "size": "image_size"}
"""Other code bases' names of the keys."""


class Setting(Struct, frozen=True):
    """One hyperparameter that the user gave, with its place."""

    name: str
    value: Value
    span: Source


def nearest_key(name: str) -> str | None:
    """The key that a name probably means: equal but for case or dashes, another library's name, or a near spelling."""
    from difflib import get_close_matches

    plain = re.sub("[^a-z0-9]+", "_", name[:64].lower()).strip("_")
    if plain in KEYS:
        return plain
    if plain in OTHER_NAMES:
        return OTHER_NAMES[plain]
    near = get_close_matches(plain, [*KEYS, *OTHER_NAMES], n=1, cutoff=0.7)
    return OTHER_NAMES.get(near[0], near[0]) if near else None
