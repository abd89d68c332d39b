"""Names the attribute that holds each size of a layer's weight. No torch."""

from __future__ import annotations

ATTRIBUTES = {
    ("Linear", 0): "out_features",
    ("Linear", 1): "in_features",
    ("Conv", 0): "out_channels",
    ("Conv", 1): "in_channels",
    ("BatchNorm", 0): "num_features",
    ("GroupNorm", 0): "num_channels",
    ("LayerNorm", 0): "normalized_shape",
    ("Embedding", 0): "num_embeddings",
    ("Embedding", 1): "embedding_dim",
}
"""The attribute that holds the size of an axis of a weight, by how the name of the layer's class begins."""


def size_attribute(layer: str, axis: int) -> str:
    """The attribute that holds the size of a weight's axis; "" where the class has none."""
    axis = 1 - axis if layer.startswith("ConvTranspose") and axis < 2 else axis
    return next((name for (start, at), name in ATTRIBUTES.items() if layer.startswith(start) and at == axis), "")
