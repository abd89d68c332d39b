"""Models as people write them: a ViT with einops, one with MultiheadAttention, a transformer for volumes."""

from itertools import pairwise

import torch
from einops import rearrange
from torch import nn


class Block(nn.Module):
    """Attention and a feed-forward, each with its shortcut."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim * mlp_ratio), nn.GELU(), nn.Linear(dim * mlp_ratio, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = rearrange(self.qkv(self.norm1(x)), "b n (three h d) -> three b h n d", three=3, h=self.heads)
        x = x + self.out(rearrange((q @ k.transpose(-2, -1)).softmax(-1) @ v, "b h n d -> b n (h d)"))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """Patches by einops, a class token, learned positions."""

    def __init__(
        self, image_size: int = 48, patch_size: int = 8, dim: int = 36, depth: int = 2, heads: int = 3, classes: int = 5
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.embed = nn.Linear(3 * patch_size**2, dim)
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.zeros(1, (image_size // patch_size) ** 2 + 1, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads, 2) for _ in range(depth)))
        self.head = nn.Linear(dim, classes)

    def forward(self, img: torch.Tensor) -> torch.Tensor:
        p = self.patch_size
        x = self.embed(rearrange(img, "b c (h p) (w q) -> b (h w) (p q c)", p=p, q=p))
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.blocks(x)[:, 0])


class MHAViT(nn.Module):
    """torch's own layers, positions that are cut to the image."""

    def __init__(self, img_size: int = 64, patch_size: int = 16, embed_dim: int = 48, num_heads: int = 4) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, patch_size, patch_size)
        self.positions = nn.Parameter(torch.zeros(1, (img_size // patch_size) ** 2, embed_dim))
        self.attention = nn.MultiheadAttention(embed_dim, num_heads, batch_first=True)
        self.norm = nn.LayerNorm(embed_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.proj(x).flatten(2).transpose(1, 2) + self.positions
        return self.norm(x + self.attention(x, x, x)[0]).mean(1)


class UNETR(nn.Module):
    """A volume in patches, a transformer, a decoder that doubles four times and meets the volume again."""

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        img_size: tuple[int, int, int] = (32, 32, 32),
        feature_size: int = 4,
        hidden_size: int = 24,
        num_heads: int = 3,
    ) -> None:
        super().__init__()
        self.grid = tuple(side // 16 for side in img_size)
        self.embed = nn.Conv3d(in_channels, hidden_size, 16, 16)
        n = self.grid[0] * self.grid[1] * self.grid[2]
        self.positions = nn.Parameter(torch.zeros(1, n, hidden_size))
        self.blocks = nn.Sequential(*(Block(hidden_size, num_heads, 2) for _ in range(2)))
        widths = [hidden_size, *(feature_size * 2**step for step in (3, 2, 1, 0))]
        self.up = nn.Sequential(*(nn.ConvTranspose3d(one, two, 2, 2) for one, two in pairwise(widths)))
        self.skip = nn.Conv3d(in_channels, feature_size, 3, padding=1)
        self.out = nn.Conv3d(2 * feature_size, out_channels, 1)

    def forward(self, x_in: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.embed(x_in).flatten(2).transpose(1, 2) + self.positions)
        x = x.transpose(1, 2).reshape(len(x), -1, *self.grid)
        return self.out(torch.cat([self.up(x), self.skip(x_in)], 1))
