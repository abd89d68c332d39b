"""A grid of h×w positions, a bias by relative position and a sine table, on images that are not square."""

import torch
from torch import nn


def relative_index(h, w):
    ys, xs = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    ys, xs = ys.flatten(), xs.flatten()
    dy = ys[:, None] - ys[None, :] + h - 1
    dx = xs[:, None] - xs[None, :] + w - 1
    return dy * (2 * w - 1) + dx


def sine_table(length, dim):
    angles = torch.arange(length)[:, None] / 100 ** (torch.arange(dim // 2)[None, :] / (dim // 2))
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Attention(nn.Module):
    def __init__(self, dim, heads, grid):
        super().__init__()
        h, w = grid
        self.heads, self.dim_head = heads, dim // heads
        self.qkv = nn.Linear(dim, dim * 3, bias=False)
        self.proj = nn.Linear(dim, dim)
        self.bias = nn.Parameter(torch.randn((2 * h - 1) * (2 * w - 1), heads) * 0.02)
        self.register_buffer("index", relative_index(h, w))

    def forward(self, x):
        b, n, dim = x.shape
        q, k, v = self.qkv(x).split(dim, dim=2)
        q = q.view(b, n, self.heads, self.dim_head).permute(0, 2, 1, 3)
        k = k.view(b, n, self.heads, self.dim_head).permute(0, 2, 1, 3)
        v = v.view(b, n, self.heads, self.dim_head).permute(0, 2, 1, 3)
        scores = q @ k.transpose(-1, -2) / self.dim_head**0.5
        scores = scores + self.bias[self.index].permute(2, 0, 1)
        out = torch.softmax(scores, dim=-1) @ v
        return self.proj(out.permute(0, 2, 1, 3).reshape(b, n, dim))


class Block(nn.Module):
    def __init__(self, dim, heads, grid):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = Attention(dim, heads, grid)
        self.fc1, self.fc2 = nn.Linear(dim, dim * 2), nn.Linear(dim * 2, dim)
        self.depthwise = nn.Conv2d(dim * 2, dim * 2, 3, padding=1, groups=dim * 2)
        self.grid = grid

    def forward(self, x):
        h, w = self.grid
        x = x + self.attn(self.norm1(x))
        y = self.fc1(self.norm2(x))
        y = y.transpose(1, 2).view(y.shape[0], -1, h, w)
        y = torch.relu(self.depthwise(y))
        y = y.flatten(2).transpose(1, 2)
        return x + self.fc2(y)


class GridViT(nn.Module):
    def __init__(self, image_height=32, image_width=48, patch_size=8, dim=48, depth=2, heads=4, num_classes=10):
        super().__init__()
        h, w = image_height // patch_size, image_width // patch_size
        self.grid = (h, w)
        self.patch_embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.randn(1, h, w, dim) * 0.02)
        self.register_buffer("rows", sine_table(h, dim))
        self.register_buffer("columns", sine_table(w, dim))
        self.blocks = nn.ModuleList([Block(dim, heads, (h, w)) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.pool = nn.Linear(dim, 1)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch_embed(x).permute(0, 2, 3, 1)
        x = x + self.pos
        x = x + self.rows[:, None, :] + self.columns[None, :, :]
        x = x.flatten(1, 2)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        weights = self.pool(x).softmax(dim=1)
        x = (weights * x).sum(dim=1)
        return self.head(x)


def example(batch=3):
    return (torch.randn(batch, 3, 32, 48),)
