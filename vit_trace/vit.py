"""The Vision Transformer, to be read from top to bottom.

"An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", Dosovitskiy et al., 2021
(https://arxiv.org/abs/2010.11929), in its classic small form: an image is cut into patches, each patch becomes a
vector (a token), `depth` transformer layers let the tokens look at each other, and one vector is read out.

Shapes are written in einops' words: b batch, c channels, (h p1) image height = h patches of p1 pixels, (w p2) width,
n tokens, d width of a vector (dim, or dim_head inside a head). Nothing here knows that it may be traced.
"""

from typing import Literal

import torch
from einops import rearrange, repeat
from einops.layers.torch import Rearrange
from torch import Tensor, nn


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a size that may be given as one number."""
    return (size, size) if isinstance(size, int) else size


class PreNorm(nn.Module):
    """Normalise the tokens, then apply `fn`. b n dim -> whatever fn makes of it."""

    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x))


class FeedForward(nn.Module):
    """Two linear layers with GELU between them, for each token alone. b n dim -> b n dim."""

    def __init__(self, dim: int, mlp_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, mlp_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_dim, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Attention(nn.Module):
    """Multi-head self-attention. b n dim -> b n dim.

    As in "Attention Is All You Need", Vaswani et al., 2017: `heads` heads of dimension `dim_head`. One head with
    dim_head = dim needs no output projection.
    """

    def __init__(self, dim: int, heads: int = 8, dim_head: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        inner_dim = heads * dim_head
        self.heads = heads
        self.scale = dim_head**-0.5
        self.to_qkv = nn.Linear(dim, 3 * inner_dim, bias=False)
        self.attend = nn.Softmax(dim=-1)
        if heads == 1 and dim_head == dim:
            self.to_out: nn.Module = nn.Identity()
        else:
            self.to_out = nn.Sequential(nn.Linear(inner_dim, dim), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.to_qkv(x).chunk(3, dim=-1)
        q, k, v = (rearrange(t, "b n (h d) -> b h n d", h=self.heads) for t in qkv)
        dots = torch.matmul(q, k.transpose(-1, -2))
        attn = self.attend(dots * self.scale)
        out = torch.matmul(attn, v)
        out = rearrange(out, "b h n d -> b n (h d)")
        return self.to_out(out)


class Transformer(nn.Module):
    """`depth` layers, each attention then feed-forward, each added to what came in. b n dim -> b n dim."""

    def __init__(self, dim: int, depth: int, heads: int, dim_head: int, mlp_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(depth):
            attention = PreNorm(dim, Attention(dim, heads, dim_head, dropout))
            feed_forward = PreNorm(dim, FeedForward(dim, mlp_dim, dropout))
            self.layers.append(nn.ModuleList([attention, feed_forward]))

    def forward(self, x: Tensor) -> Tensor:
        for attention, feed_forward in self.layers:
            x = attention(x) + x
            x = feed_forward(x) + x
        return x


class ViT(nn.Module):
    """Image to logits. b c (h p1) (w p2) -> b num_classes.

    Args:
        image_size: pixels, one number or (height, width); a multiple of patch_size.
        patch_size: pixels, one number or (height, width).
        num_classes: number of classes.
        dim: embedding dimension.
        depth: number of transformer layers.
        heads: number of attention heads per layer.
        mlp_dim: hidden dimension of the feed-forward.
        pool: "cls" for the class token, "mean" for the mean over all tokens.
        channels: input channels.
        dim_head: head dimension; heads * dim_head need not be dim.
        dropout: dropout rate in attention and feed-forward.
        emb_dropout: dropout rate after the position embedding.

    Raises:
        ValueError: image_size is not a multiple of patch_size, or pool is neither "cls" nor "mean".
    """

    def __init__(
        self,
        *,
        image_size: int | tuple[int, int],
        patch_size: int | tuple[int, int],
        num_classes: int,
        dim: int,
        depth: int,
        heads: int,
        mlp_dim: int,
        pool: Literal["cls", "mean"] = "cls",
        channels: int = 3,
        dim_head: int = 64,
        dropout: float = 0.0,
        emb_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        image_height, image_width = pair(image_size)
        patch_height, patch_width = pair(patch_size)
        if image_height % patch_height or image_width % patch_width:
            raise ValueError(
                f"image {image_height}x{image_width} does not divide into {patch_height}x{patch_width} patches"
            )
        if pool not in ("cls", "mean"):
            raise ValueError(f"pool is {pool!r}, neither 'cls' nor 'mean'")

        num_patches = (image_height // patch_height) * (image_width // patch_width)
        patch_dim = channels * patch_height * patch_width

        self.to_patch_embedding = nn.Sequential(
            Rearrange("b c (h p1) (w p2) -> b (h w) (p1 p2 c)", p1=patch_height, p2=patch_width),
            nn.Linear(patch_dim, dim),
        )
        self.pos_embedding = nn.Parameter(torch.randn(1, num_patches + 1, dim))
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.dropout = nn.Dropout(emb_dropout)
        self.transformer = Transformer(dim, depth, heads, dim_head, mlp_dim, dropout)
        self.pool = pool
        self.to_latent = nn.Identity()
        self.mlp_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, num_classes))

    def forward(self, img: Tensor) -> Tensor:
        x = self.to_patch_embedding(img)
        b, n, _ = x.shape

        cls_tokens = repeat(self.cls_token, "1 1 d -> b 1 d", b=b)
        x = torch.cat((cls_tokens, x), dim=1)
        x += self.pos_embedding[:, : n + 1]
        x = self.dropout(x)

        x = self.transformer(x)

        x = x.mean(dim=1) if self.pool == "mean" else x[:, 0]
        x = self.to_latent(x)
        return self.mlp_head(x)
