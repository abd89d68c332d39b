"""`check`: what runs and is hardly meant, and what could be quicker."""

MEANINGS: dict[str, str] = {
    "heads-do-not-fill-dim": """
heads · dim_head, the width inside attention, is not dim, the width of a token.
Example: heads 12 × dim_head 64 = 768, dim is 770.
It runs: to_qkv and to_out project between the two widths. In every published ViT they are equal, so most often one of
the three numbers was changed and the others forgotten. Set dim_head to dim / heads.
""",
    "heads-do-not-divide-dim": """
dim is not a multiple of heads, and the library rounds the width of a head down without a word.
Example: hidden_size 770 with 12 heads: each head gets 64 of 64.17 values, attention is 768 wide.
It runs, and a little of the width is lost. Take heads that divide dim; `vit-trace check SPEC --suggest heads` lists
them.
""",
    "one-token": """
The patch is as large as the image, so there is one patch: attention has nothing to compare it with.
Example: image_size 32, patch_size 32.
Take a smaller patch. For small images (CIFAR's 32×32) patches of 4 or 8 are usual.
""",
    "mlp-narrower-than-dim": """
The hidden layer of the feed-forward is narrower than the tokens.
Example: mlp_dim 512 is smaller than dim 770.
It runs, but squeezes each token where every published ViT widens it two to four times (mlp_dim = 4 · dim is usual).
""",
    "drops-everything": """
A dropout or drop-path share of 1 (or more): while training everything there becomes 0 and no gradient passes.
Example: dropout 1.
Shares are from 0 to 1, not percent: 0.1 drops a tenth.
""",
    "one-class": """
The model gives one score per image. Softmax over one score is always 1, so cross entropy is 0 from the first step on
and nothing is learnt. One score is right for a binary loss (BCEWithLogitsLoss) or for regression; else count the
classes.
""",
    "misspelt-field": """
A config.json has a field that its config class does not know, spelt almost like one that it does.
Example: num_hidden_layer for num_hidden_layers.
transformers keeps such a field without a word and uses the default of the right one.
""",
    "tensor-core-alignment": """
A width that a GPU's tensor cores tile badly. In half precision they want multiples of 8 and are filled best by
multiples of 64; anything else is padded or takes a slower kernel (NVIDIA, "Matrix Multiplication Background User's
Guide").
Example: dim 770 is not a multiple of 8.
A note only: the result is the same.
""",
    "sequence-just-over-tile": """
The number of tokens is a few more than a multiple of 64. Attention kernels work in tiles of 64, so the last tile is
almost empty: 257 tokens cost as much as 320. Most ViTs are like that, because of the class token. A note only:
another image size, or no class token, would be cheaper by token.
""",
    "flash-attention-head": """
The width of a head is one that flash attention does not take: it takes multiples of 8 up to 256 (FlashAttention-2,
Dao, 2023). scaled_dot_product_attention then pads, or chooses another kernel, which is slower and may keep the n × n
matrix. A note only: the result is the same.
""",
}
