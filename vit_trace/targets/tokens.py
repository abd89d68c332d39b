"""Feeds a part of a model that takes tokens: a block, an attention, a head. Its first layer and arguments say which.

What is known: the features of the first layer; a window, a resolution or a count of tokens among the arguments; names
of the forward's parameters that always mean the same: H and W beside the tokens, the context of cross-attention.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from vit_trace.base.roles import ROLES
from vit_trace.targets.inputs import Axis, Feed, Inputs, Plan, Sizes, height_width
from vit_trace.targets.knobs import integer_of, is_integer, knobs_of

if TYPE_CHECKING:
    from torch import nn

    from vit_trace.record.build.anyhow import Built

SIDE = 14
"""Rows and columns of tokens where nothing says how many: those of an image of 224 in patches of 16."""

IMAGES = set("img image images imgs pixels pixel_values picture video videos clip frames batch sample samples".split())
"""Names of a forward's parameters that are images."""

TOKENS = set(
    "x y z tokens q k v query key value queries keys values context memory kv src tgt hidden_states features"
    " encoder_hidden_states embeddings hidden inputs input".split()
)
"""Names of parameters that are tokens where the others are known too."""

VECTORS = set("c cond conditioning temb t_emb time_emb emb".split())
"""Names of parameters that hold one vector for each image, in blocks that are conditioned on it."""

ROWS, COLUMNS = {"H", "h", "height"}, {"W", "w", "width"}
"""Names of whole numbers that say how the tokens stand."""

PAIRS = set("hw hw_shape feat_size x_size grid_size spatial_shape resolution input_resolution".split())
"""Names of pairs that say the same."""

COUNTS = "num_patches n_patches num_tokens n_tokens seq_len sequence_length seq_length num_positions context_length"
"""Names of arguments that say how many tokens there are."""


class Fed(NamedTuple):
    """Ways to feed tokens, the likeliest first, and whether they come before all ways to feed images."""

    plans: Sequence[Plan] = ()
    first: bool = True
    features: int = 0


def tokens_fed(built: Built, needed: Sequence[str], batch: int) -> Fed:
    """Ways to feed tokens; none where the model takes images as far as can be seen."""
    arguments = built.call.arguments if built.call else {}
    features, sure = _features(built.model, arguments)
    if not features or not needed or set(needed) & IMAGES or _takes_images(arguments):
        return Fed()
    if len(needed) > 1 and not set(needed) <= TOKENS | VECTORS | ROWS | COLUMNS | PAIRS:
        return Fed((), True, features)
    knob = next((one for one in knobs_of(arguments) if one.role == "dim" and one.value == features), None)
    dim: Axis = knob.symbol if knob is not None else features
    sizes = {"b": batch, **({knob.symbol: features} if knob is not None else {})}
    sides = _sides(arguments, sorted(PAIRS))
    if set(needed) & (ROWS | COLUMNS | PAIRS):
        rows, columns = sides or (SIDE, SIDE)
        return Fed([Plan((), {**sizes, "h": rows, "w": columns}, partial(_with_sides, dim, needed))], True, features)
    window = sides or _sides(arguments, ROLES["window"])
    many = ("b", (math.prod(window) if window else _count_named(arguments)) or "n", dim)
    grid = ("b", *(sides or ("h", "w")), dim)
    sizes |= {"n": SIDE**2, "h": SIDE, "w": SIDE}
    return Fed([_plan(axes, sizes, needed) for axes in (many, grid)[: 1 if len(needed) > 1 else 2]], sure, features)


def _count_named(arguments: Mapping[str, Any]) -> int | None:
    """The number of tokens that an argument says."""
    return next((arguments[name] for name in COUNTS.split() if is_integer(arguments.get(name))), None)


def _takes_images(arguments: Mapping[str, Any]) -> bool:
    """Whether an argument is about images: the channels, the patches, the size of an image."""
    names = {name for role in ("channels", "patch", "image") for name in ROLES[role]} - PAIRS - {"channels"}
    return any(name in names and value is not None for name, value in arguments.items())


def _features(model: nn.Module, arguments: Mapping[str, Any]) -> tuple[int, bool]:
    """The features of a token, which the first layer takes, and whether these cannot be pixels.

    0 where that is a convolution or an embedding.
    """
    for one in model.modules():
        if hasattr(one, "kernel_size") or hasattr(one, "num_embeddings"):
            return 0, False
        shape = getattr(one, "normalized_shape", None)
        found: Any = shape[-1] if shape else getattr(one, "in_features", getattr(one, "embed_dim", None))
        if is_integer(found) and (hasattr(one, "weight") or hasattr(one, "in_proj_weight")):
            pixels = any(math.isqrt(found // channels) ** 2 * channels == found for channels in (1, 3))
            linear = hasattr(one, "in_features")
            return found, not (pixels and linear) or found == integer_of(arguments, "dim")
    return 0, False


def _sides(arguments: Mapping[str, Any], names: Sequence[str]) -> tuple[int, int] | None:
    """Rows and columns of tokens that an argument says."""
    named = (arguments.get(name) for name in names)
    return next((found for value in named if (found := height_width(value)) and min(found) > 0), None)


def _plan(axes: tuple[Axis, ...], sizes: Sizes, needed: Sequence[str]) -> Plan:
    """Tokens of these axes for every parameter but those that take a vector."""
    vector = (axes[0], axes[-1])
    feeds = tuple(Feed(None, vector if name in VECTORS and len(needed) > 1 else axes) for name in needed)
    return Plan(feeds, {name: size for name, size in sizes.items() if name in axes})


def _with_sides(dim: Axis, needed: Sequence[str], sizes: Sizes) -> Inputs:
    """Tokens, and their rows and columns as whole numbers."""
    rows, columns = sizes["h"], sizes["w"]
    made: list[Any] = []
    for name in needed:
        if name in ROWS | COLUMNS:
            made.append(rows if name in ROWS else columns)
        elif name in PAIRS:
            made.append((rows, columns))
        else:
            made.append(Feed(None, ("b", dim) if name in VECTORS else ("b", "h*w", dim)).tensor(sizes))
    return tuple(made), {}
