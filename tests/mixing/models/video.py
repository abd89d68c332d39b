"""Video: attention over time, then over space, as in TimeSformer, with positions in space and in time."""

import torch
from einops import rearrange
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, dim * 3)
        self.out = nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = rearrange(self.qkv(self.norm(x)), "b n (s h d) -> s b h n d", s=3, h=self.heads)
        attn = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
        out = rearrange(attn @ v, "b h n d -> b n (h d)")
        return self.out(out)


class DividedBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.time = Attention(dim, heads)
        self.space = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim * 4), nn.GELU(), nn.Linear(dim * 4, dim))

    def forward(self, x):
        b, t, n, d = x.shape
        y = x.permute(0, 2, 1, 3).reshape(b * n, t, d)
        y = self.time(y)
        x = x + y.reshape(b, n, t, d).permute(0, 2, 1, 3)
        y = rearrange(x, "b t n d -> (b t) n d")
        y = self.space(y)
        x = x + rearrange(y, "(b t) n d -> b t n d", b=b)
        return x + self.mlp(x)


class VideoTransformer(nn.Module):
    def __init__(self, image_size=32, patch_size=8, num_frames=4, dim=48, depth=2, heads=4, num_classes=10):
        super().__init__()
        num_patches = (image_size // patch_size) ** 2
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_space = nn.Parameter(torch.randn(1, 1, num_patches, dim) * 0.02)
        self.pos_time = nn.Parameter(torch.randn(1, num_frames, 1, dim) * 0.02)
        self.blocks = nn.ModuleList([DividedBlock(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, video):
        b, t, c, h, w = video.shape
        x = self.embed(video.reshape(b * t, c, h, w))
        x = x.flatten(2).transpose(1, 2)
        x = x.reshape(b, t, x.shape[1], x.shape[2])
        x = x + self.pos_space
        x = x + self.pos_time
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        x = x.mean(dim=(1, 2))
        return self.head(x)


def example(batch=3):
    return (torch.randn(batch, 4, 3, 32, 32),)
