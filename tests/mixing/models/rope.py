"""A recent ViT: rotary positions on a grid, grouped keys and values, registers, SwiGLU, layer scale."""

import torch
import torch.nn.functional as F
from torch import nn


def rotary_table(h, w, dim_head):
    frequencies = 1.0 / 100 ** (torch.arange(0, dim_head, 4) / dim_head)
    ys = torch.arange(h)[:, None] * frequencies[None, :]
    xs = torch.arange(w)[:, None] * frequencies[None, :]
    angles = torch.cat([ys[:, None, :].expand(-1, w, -1), xs[None, :, :].expand(h, -1, -1)], dim=-1)
    angles = angles.flatten(0, 1).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate_half(x):
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat([-x2, x1], dim=-1)


class Attention(nn.Module):
    def __init__(self, dim, heads, kv_heads, prefix):
        super().__init__()
        self.heads, self.kv_heads, self.prefix = heads, kv_heads, prefix
        self.dim_head = dim // heads
        self.q_proj = nn.Linear(dim, heads * self.dim_head)
        self.kv_proj = nn.Linear(dim, 2 * kv_heads * self.dim_head)
        self.q_norm, self.k_norm = nn.LayerNorm(self.dim_head), nn.LayerNorm(self.dim_head)
        self.o_proj = nn.Linear(dim, dim)

    def rotate(self, x, cos, sin):
        prefix, patches = x[:, :, : self.prefix], x[:, :, self.prefix :]
        patches = patches * cos + rotate_half(patches) * sin
        return torch.cat([prefix, patches], dim=2)

    def forward(self, x, cos, sin):
        b, n, _ = x.shape
        q = self.q_proj(x).view(b, n, self.heads, self.dim_head).transpose(1, 2)
        kv = self.kv_proj(x).view(b, n, 2, self.kv_heads, self.dim_head)
        k, v = kv.permute(2, 0, 3, 1, 4)
        q = self.rotate(self.q_norm(q), cos, sin)
        k = self.rotate(self.k_norm(k), cos, sin)
        k = k.repeat_interleave(self.heads // self.kv_heads, dim=1)
        v = v.repeat_interleave(self.heads // self.kv_heads, dim=1)
        x = F.scaled_dot_product_attention(q, k, v)
        x = x.transpose(1, 2).flatten(2)
        return self.o_proj(x)


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.w12 = nn.Linear(dim, 2 * hidden)
        self.w3 = nn.Linear(hidden, dim)

    def forward(self, x):
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class Block(nn.Module):
    def __init__(self, dim, heads, kv_heads, prefix):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = Attention(dim, heads, kv_heads, prefix)
        self.mlp = SwiGLU(dim, dim * 2)
        self.ls1 = nn.Parameter(torch.ones(dim) * 0.1)
        self.ls2 = nn.Parameter(torch.ones(dim) * 0.1)

    def forward(self, x, cos, sin):
        x = x + self.ls1 * self.attn(self.norm1(x), cos, sin)
        return x + self.ls2 * self.mlp(self.norm2(x))


class RotaryViT(nn.Module):
    def __init__(
        self, image_size=(32, 48), patch_size=8, dim=48, depth=2, heads=4, kv_heads=2, registers=2, classes=10
    ):
        super().__init__()
        h, w = image_size[0] // patch_size, image_size[1] // patch_size
        self.patch_embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.storage_tokens = nn.Parameter(torch.randn(1, registers, dim) * 0.02)
        self.prefix = 1 + registers
        cos, sin = rotary_table(h, w, dim // heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.blocks = nn.ModuleList([Block(dim, heads, kv_heads, self.prefix) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(2 * dim, classes)

    def forward(self, images):
        x = self.patch_embed(images).flatten(2).transpose(1, 2)
        b = x.shape[0]
        x = torch.cat([self.cls_token.expand(b, -1, -1), self.storage_tokens.expand(b, -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        x = self.norm(x)
        cls, patches = x[:, 0], x[:, self.prefix :]
        return self.head(torch.cat([cls, patches.mean(dim=1)], dim=1))


def example(batch=3):
    return (torch.randn(batch, 3, 32, 48),)
