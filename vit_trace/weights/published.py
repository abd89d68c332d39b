"""Finds the published model that a checkpoint's sizes belong to, and what differs from it. No torch.

The names are timm's. A test builds each of them and compares its sizes with the table.
"""

import re
from math import isqrt

from msgspec import Struct

from vit_trace.base.trace import Value
from vit_trace.weights.describe import Description
from vit_trace.weights.naming import Named

SIZES = {
    "tiny": (192, 12, 3, 768), "small": (384, 12, 6, 1536), "base": (768, 12, 12, 3072), "large": (1024, 24, 16, 4096),
    "huge": (1280, 32, 16, 5120), "giant": (1408, 40, 16, 6144), "gigantic": (1664, 48, 16, 8192),
}  # fmt: skip
"""Word in a name -> embedding dimension, depth, heads, hidden dimension of the feed-forward."""

FAMILIES = {
    (): """
        vit_base_patch16_224 vit_base_patch16_384 vit_base_patch8_224 vit_base_patch32_224 vit_base_patch32_384
        vit_large_patch16_224 vit_large_patch16_384 vit_large_patch14_224 vit_large_patch32_224 vit_large_patch32_384
        vit_small_patch16_224 vit_small_patch16_384 vit_small_patch8_224 vit_small_patch32_224 vit_small_patch32_384
        vit_tiny_patch16_224 vit_tiny_patch16_384 vit_huge_patch14_224 vit_giant_patch14_224 vit_gigantic_patch14_224
        """,
    ("dist",): """
        deit_base_distilled_patch16_224 deit_base_distilled_patch16_384 deit_small_distilled_patch16_224
        deit_tiny_distilled_patch16_224""",
    ("ls",): "vit_base_patch14_dinov2_518 vit_small_patch14_dinov2_518 vit_large_patch14_dinov2_518",
    ("ls", "patches"): """
        deit3_base_patch16_224 deit3_base_patch16_384 deit3_small_patch16_224 deit3_small_patch16_384
        deit3_large_patch16_224 deit3_large_patch16_384 deit3_huge_patch14_224""",
    ("ls", "patches", "registers"): """
        vit_base_patch14_reg4_dinov2_518 vit_small_patch14_reg4_dinov2_518 vit_large_patch14_reg4_dinov2_518""",
    ("pre_norm",): """
        vit_base_patch16_clip_224 vit_base_patch16_clip_384 vit_base_patch32_clip_224
        vit_base_patch32_clip_384 vit_base_patch32_clip_448 vit_large_patch14_clip_224 vit_large_patch14_clip_336
        vit_huge_patch14_clip_224 vit_huge_patch14_clip_336""",
}  # fmt: skip
"""What a model has besides a plain ViT's parts -> names; the image size of DINOv2 is behind its name."""

SWIN = {
    "swin_tiny_patch4_window7_224": (96, (2, 2, 6, 2), (3, 6, 12, 24), 7),
    "swin_small_patch4_window7_224": (96, (2, 2, 18, 2), (3, 6, 12, 24), 7),
    "swin_base_patch4_window7_224": (128, (2, 2, 18, 2), (4, 8, 16, 32), 7),
    "swin_base_patch4_window12_384": (128, (2, 2, 18, 2), (4, 8, 16, 32), 12),
    "swin_large_patch4_window7_224": (192, (2, 2, 18, 2), (6, 12, 24, 48), 7),
    "swin_large_patch4_window12_384": (192, (2, 2, 18, 2), (6, 12, 24, 48), 12),
}
"""Name -> embedding dimension, layers of each stage, heads of each stage, window."""

NOT_SAID = re.compile(r"_518$")


class Published(Struct, frozen=True):
    """A published model by its sizes; `differs` are quantities of the checkpoint that it has otherwise: (own, its)."""

    name: str
    heads: int
    image: int
    patch: int
    differs: dict[str, tuple[Value, Value]] = {}

    @property
    def spec(self) -> str:
        """The spec that builds it."""
        return f"timm:{self.name}"

    @property
    def words(self) -> str:
        """That all is equal, or what differs."""
        if not self.differs:
            return f"{self.spec}, all hyperparameters equal"
        parts = [f"{name} {_text(own)} instead of {_text(its)}" for name, (own, its) in self.differs.items()]
        return f"nearest to {self.spec}: {', '.join(parts)}"


def published_like(model: Description) -> Published | None:
    """The published model with the fewest differences, the usual first; None where none has this width and depth."""
    if model.gated or model.inner != model.dim or not (model.cls or model.dist):
        return None
    family = tuple(
        word
        for word, has in (
            ("dist", model.dist),
            ("ls", "ls1" in model.features),
            ("patches", model.extra == 0 and model.positions is not None),
            ("registers", model.registers),
            ("pre_norm", "pre_norm" in model.features),
        )
        if has
    )
    found = [_compared(name, model) for name in FAMILIES.get(family, "").split()]
    return min((one for one in found if one is not None), key=lambda one: len(one.differs), default=None)


def _compared(name: str, model: Description) -> Published | None:
    """The published model of that name beside the checkpoint's."""
    words = name.split("_")
    dim, depth, heads, mlp = SIZES[words[1]]
    if (model.dim, model.depth, model.mlp_dim) != (dim, depth, mlp):
        return None
    image, patch = int(words[-1]), int(next(word for word in words if word.startswith("patch"))[5:])
    own: dict[str, tuple[Value, Value]] = {
        "image": (_side(model.image), image),
        "patch": (_side(model.patch), patch),
        "channels": (model.channels, 3),
        "heads": (model.heads, heads if model.heads else None),
        "registers": (model.registers, 4 if model.registers else 0),
    }
    if model.classes is not None:
        own["classes"] = (model.classes, 1000)
    differs = {key: pair for key, pair in own.items() if pair[0] != pair[1]}
    return Published(NOT_SAID.sub("", name), heads, image, patch, differs)


def _side(pair: tuple[int, int] | None) -> Value:
    if pair is None:
        return None
    return pair[0] if pair[0] == pair[1] else list(pair)


def _text(value: Value) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else "unknown" if value is None else str(value)


def published_swin(named: Named) -> str | None:
    """The published Swin of these sizes; what differs from the nearest of the same width."""
    tables: dict[int, tuple[int, ...]] = {}
    depths: dict[int, int] = {}
    for role, piece in named.pieces.items():
        if found := re.match(r"block\.(\d+)_(\d+)\.(.*)", role):
            stage = int(found[1])
            depths[stage] = max(depths.get(stage, 0), int(found[2]) + 1)
            if found[3] == "relative" and len(piece.shape) == 2:
                tables[stage] = piece.shape
    if "patch.weight" not in named.pieces or not tables or tables.keys() != depths.keys():
        return None
    own = {
        "embed_dim": named.pieces["patch.weight"].shape[0],
        "depths": [depths[stage] for stage in sorted(depths)],
        "num_heads": [tables[stage][1] for stage in sorted(tables)],
        "window": (isqrt(tables[min(tables)][0]) + 1) // 2,
    }
    names = ("embed_dim", "depths", "num_heads", "window")
    found_ones = []
    for name, values in SWIN.items():
        its = [list(value) if isinstance(value, tuple) else value for value in values]
        differs = {key: (own[key], value) for key, value in zip(names, its, strict=True) if own[key] != value}
        found_ones.append(Published(name, 0, 0, 4, differs))  # type: ignore[arg-type]
    best = min(found_ones, key=lambda one: len(one.differs))
    return best.words if len(best.differs) < 3 else None
