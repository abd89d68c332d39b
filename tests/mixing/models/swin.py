"""Attention in shifted windows as in Swin: partition, reverse, roll, a mask, a bias by relative position, merging."""

import torch
from torch import nn


def window_partition(x, ws):
    B, H, W, C = x.shape
    x = x.view(B, H // ws, ws, W // ws, ws, C)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, ws * ws, C)


def window_reverse(windows, ws, H, W):
    B = windows.shape[0] // (H * W // ws // ws)
    x = windows.view(B, H // ws, W // ws, ws, ws, -1)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(B, H, W, -1)


class WindowAttention(nn.Module):
    def __init__(self, dim, ws, heads):
        super().__init__()
        self.ws, self.heads = ws, heads
        self.scale = (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)
        self.bias_table = nn.Parameter(torch.randn((2 * ws - 1) ** 2, heads) * 0.02)
        ys, xs = torch.meshgrid(torch.arange(ws), torch.arange(ws), indexing="ij")
        ys, xs = ys.flatten(), xs.flatten()
        index = (ys[:, None] - ys[None] + ws - 1) * (2 * ws - 1) + xs[:, None] - xs[None] + ws - 1
        self.register_buffer("index", index, persistent=False)

    def forward(self, x, mask=None):
        Bw, N, C = x.shape
        q, k, v = self.qkv(x).view(Bw, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        attn = q * self.scale @ k.transpose(-2, -1)
        bias = self.bias_table[self.index.view(-1)].view(N, N, -1).permute(2, 0, 1)
        attn = attn + bias.unsqueeze(0)
        if mask is not None:
            nW = mask.shape[0]
            attn = attn.view(Bw // nW, nW, self.heads, N, N) + mask.unsqueeze(1).unsqueeze(0)
            attn = attn.view(-1, self.heads, N, N)
        attn = torch.softmax(attn, dim=-1)
        x = (attn @ v).transpose(1, 2).reshape(Bw, N, C)
        return self.proj(x)


class SwinBlock(nn.Module):
    def __init__(self, dim, grid, ws, shift, heads):
        super().__init__()
        self.grid, self.ws, self.shift = grid, ws, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, ws, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim * 4), nn.GELU(), nn.Linear(dim * 4, dim))
        self.register_buffer("attn_mask", self.make_mask() if shift else None, persistent=False)

    def make_mask(self):
        H, W = self.grid
        rows = (torch.arange(H) >= H - self.ws).long() + (torch.arange(H) >= H - self.shift)
        columns = (torch.arange(W) >= W - self.ws).long() + (torch.arange(W) >= W - self.shift)
        region = (rows[:, None] * 3 + columns[None]).view(1, H, W, 1)
        windows = window_partition(region, self.ws).squeeze(-1)
        return (windows[:, None, :] != windows[:, :, None]).float() * -100.0

    def forward(self, x):
        H, W = self.grid
        B, L, C = x.shape
        shortcut = x
        x = self.norm1(x).view(B, H, W, C)
        if self.shift:
            x = torch.roll(x, shifts=(-self.shift, -self.shift), dims=(1, 2))
        windows = self.attn(window_partition(x, self.ws), mask=self.attn_mask)
        x = window_reverse(windows, self.ws, H, W)
        if self.shift:
            x = torch.roll(x, shifts=(self.shift, self.shift), dims=(1, 2))
        x = shortcut + x.view(B, L, C)
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    def __init__(self, dim, grid):
        super().__init__()
        self.grid = grid
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x):
        H, W = self.grid
        B, L, C = x.shape
        x = x.view(B, H, W, C)
        x0 = x[:, 0::2, 0::2]
        x1 = x[:, 1::2, 0::2]
        x2 = x[:, 0::2, 1::2]
        x3 = x[:, 1::2, 1::2]
        x = torch.cat([x0, x1, x2, x3], -1).view(B, L // 4, 4 * C)
        return self.reduction(self.norm(x))


class Swin(nn.Module):
    def __init__(self, image_size=(32, 48), patch_size=4, num_classes=10, dim=24, depth=2, heads=4, window=4):
        super().__init__()
        grid = (image_size[0] // patch_size, image_size[1] // patch_size)
        self.patch_embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.patch_norm = nn.LayerNorm(dim)
        shifts = [window // 2 if i % 2 else 0 for i in range(depth)]
        self.blocks = nn.ModuleList([SwinBlock(dim, grid, window, shift, heads) for shift in shifts])
        self.merge = PatchMerging(dim, grid)
        self.norm = nn.LayerNorm(2 * dim)
        self.head = nn.Linear(2 * dim, num_classes)

    def forward(self, x):
        x = self.patch_norm(self.patch_embed(x).flatten(2).transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        x = self.norm(self.merge(x))
        x = torch.flatten(x.mean(1), 1)
        return self.head(x)


def example(batch=3):
    return (torch.randn(batch, 3, 32, 48),)
