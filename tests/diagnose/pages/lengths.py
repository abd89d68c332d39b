"""Clips, volumes and spectrograms of another length than the settings say; a window that two settings give."""

import math

import torch
from torch import nn


class TubeletViT(nn.Module):
    def __init__(self, img_size=64, num_frames=16, tubelet_size=2, patch_size=16, dim=96):
        super().__init__()
        self.proj = nn.Conv3d(3, dim, (tubelet_size, patch_size, patch_size), (tubelet_size, patch_size, patch_size))
        n = (num_frames // tubelet_size) * (img_size // patch_size) ** 2
        self.pos = nn.Parameter(torch.zeros(1, n, dim))
        self.blk = nn.TransformerEncoderLayer(dim, 4, 128, batch_first=True)
        self.head = nn.Linear(dim, 10)

    def forward(self, video):
        x = self.proj(video).flatten(2).transpose(1, 2) + self.pos
        return self.head(self.blk(x).mean(1))


class UNETRLike(nn.Module):
    def __init__(self, img_size=(96, 96, 96), patch_size=16, hidden_size=96):
        super().__init__()
        self.feat = [s // patch_size for s in img_size]
        self.hidden = hidden_size
        self.embed = nn.Conv3d(1, hidden_size, patch_size, patch_size)
        self.pos = nn.Parameter(torch.zeros(1, math.prod(self.feat), hidden_size))
        self.up = nn.ConvTranspose3d(hidden_size, 2, patch_size, patch_size)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos
        x = x.view(x.size(0), *self.feat, self.hidden).permute(0, 4, 1, 2, 3)
        return self.up(x)


class RelBias(nn.Module):
    def __init__(self, dim=64, window_size=7, num_heads=4, shift=0):
        super().__init__()
        self.window_size = window_size
        self.num_heads = num_heads
        self.table = nn.Parameter(torch.zeros((2 * window_size - 1) ** 2, num_heads))
        c = torch.stack(torch.meshgrid(torch.arange(window_size), torch.arange(window_size), indexing="ij")).flatten(1)
        r = (c[:, :, None] - c[:, None]).permute(1, 2, 0) + window_size - 1
        self.register_buffer("index", r[..., 0] * (2 * window_size - 1) + r[..., 1])
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x):
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, C // self.num_heads).permute(2, 0, 3, 1, 4).unbind(0)
        a = q @ k.transpose(-2, -1)
        bias = self.table[self.index.view(-1)].view(self.window_size**2, self.window_size**2, -1).permute(2, 0, 1)
        a = a + bias.unsqueeze(0)
        return (a.softmax(-1) @ v).transpose(1, 2).reshape(B, N, C)


class WinNet(nn.Module):
    def __init__(self, img_size=56, patch_size=4, window_size=7, dim=64, attn_window=7):
        super().__init__()
        self.ws = window_size
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.attn = RelBias(dim, attn_window)

    def forward(self, x):
        x = self.embed(x).permute(0, 2, 3, 1)
        B, H, W, C = x.shape
        w = self.ws
        x = x.view(B, H // w, w, W // w, w, C).permute(0, 1, 3, 2, 4, 5).reshape(-1, w * w, C)
        x = self.attn(x)
        x = x.view(B, H // w, W // w, w, w, C).permute(0, 1, 3, 2, 4, 5).reshape(B, H, W, C)
        return x.mean((1, 2))


class TimeSformer(nn.Module):
    def __init__(self, num_frames=8, img_size=64, patch_size=16, dim=48):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.zeros(1, (img_size // patch_size) ** 2, dim))
        self.time = nn.Parameter(torch.zeros(1, num_frames, dim))
        self.head = nn.Linear(dim, 7)

    def forward(self, x):
        B, T = x.shape[0], x.shape[2]
        x = x.transpose(1, 2).flatten(0, 1)
        x = self.proj(x).flatten(2).transpose(1, 2) + self.pos
        x = x.unflatten(0, (B, T)).transpose(1, 2).flatten(0, 1) + self.time
        return self.head(x.unflatten(0, (B, -1)).flatten(1, 2).mean(1))


class AST(nn.Module):
    def __init__(self, input_tdim=1024, input_fdim=128, patch=16, stride=10, dim=48):
        super().__init__()
        self.proj = nn.Conv2d(1, dim, patch, stride)
        f, t = (input_fdim - patch) // stride + 1, (input_tdim - patch) // stride + 1
        self.pos_embed = nn.Parameter(torch.zeros(1, f * t + 2, dim))
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.dist = nn.Parameter(torch.zeros(1, 1, dim))
        self.head = nn.Linear(dim, 5)

    def forward(self, x):  # b t f
        x = self.proj(x.unsqueeze(1).transpose(2, 3)).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls.expand(len(x), -1, -1), self.dist.expand(len(x), -1, -1), x), 1)
        x = x + self.pos_embed
        return self.head(x[:, :2].mean(1))


class FramePos(nn.Module):
    def __init__(self, frames=8, image_size=64, patch=16, dim=96):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch, patch)
        self.pos_t = nn.Parameter(torch.zeros(1, frames, dim))
        self.pos_s = nn.Parameter(torch.zeros(1, (image_size // patch) ** 2, dim))
        self.head = nn.Linear(dim, 4)

    def forward(self, video):  # b t c h w
        b, t = video.shape[:2]
        x = self.embed(video.flatten(0, 1)).flatten(2).transpose(1, 2) + self.pos_s
        x = x.unflatten(0, (b, t))
        x = x + self.pos_t
        return self.head(x.mean((1, 2)))


class Win3d(nn.Module):
    def __init__(self, window=(8, 7, 7), patch=(2, 4, 4), dim=16):
        super().__init__()
        self.w = window
        self.proj = nn.Conv3d(3, dim, patch, patch)

    def forward(self, x):
        x = self.proj(x).permute(0, 2, 3, 4, 1)
        B, D, H, W, C = x.shape
        x = x.view(B, D // self.w[0], self.w[0], H // self.w[1], self.w[1], W // self.w[2], self.w[2], C)
        return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, math.prod(self.w), C)


class PatchMergeOdd(nn.Module):
    def __init__(self, img_size=56, patch=4, dim=16):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)
        self.r1 = nn.Linear(4 * dim, 2 * dim)
        self.r2 = nn.Linear(8 * dim, 4 * dim)
        self.res = img_size // patch

    def merge(self, x, red, H, W):
        B, _, C = x.shape
        x = x.view(B, H // 2, 2, W // 2, 2, C).permute(0, 1, 3, 2, 4, 5).flatten(3).flatten(1, 2)
        return red(x)

    def forward(self, x):
        x = self.proj(x).flatten(2).transpose(1, 2)
        x = self.merge(x, self.r1, self.res, self.res)
        x = self.merge(x, self.r2, self.res // 2, self.res // 2)
        return x.mean(1)
