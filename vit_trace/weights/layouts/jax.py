"""Names of the original JAX ViT, which flax numbers."""

from __future__ import annotations

from vit_trace.weights.layouts import LibraryLayout, register_layout, table

JAX = """
cls cls
posembed_input/pos_embedding pos
Transformer/posembed_input/pos_embedding pos
pos_embedding pos
embedding/kernel patch.kernel
embedding/bias patch.bias
Transformer/encoder_norm/scale norm.weight
Transformer/encoder_norm/bias norm.bias
pre_logits/kernel pre_logits.kernel
pre_logits/bias pre_logits.bias
head/kernel head.kernel
head/bias head.bias
"""


def jax_blocks() -> dict[str, str]:
    """The parts of a layer under flax's numbered names: one count for all parts, or one for each kind of part."""
    numbered = {"norm1": "LayerNorm_0", "norm2": "LayerNorm_2", "attention": "MultiHeadDotProductAttention_1"}
    by_kind = {"norm1": "LayerNorm_0", "norm2": "LayerNorm_1", "attention": "MultiHeadDotProductAttention_0"}
    found = {}
    for names, mlp in ((numbered, "MlpBlock_3"), (by_kind, "MlpBlock_0")):
        base = "Transformer/encoderblock_#/"
        for norm in ("norm1", "norm2"):
            found[f"{base}{names[norm]}/scale"] = f"block.#.{norm}.weight"
            found[f"{base}{names[norm]}/bias"] = f"block.#.{norm}.bias"
        for leaf in ("kernel", "bias"):
            for part, role in (("query", "q"), ("key", "k"), ("value", "v"), ("out", "out")):
                found[f"{base}{names['attention']}/{part}/{leaf}"] = f"block.#.{role}.{leaf}"
            for part, role in (("Dense_0", "fc1"), ("Dense_1", "fc2")):
                found[f"{base}{mlp}/{part}/{leaf}"] = f"block.#.{role}.{leaf}"
    return found


register_layout(LibraryLayout("jax", "the original JAX ViT", 10, table(JAX) | jax_blocks(), separator="/"))
