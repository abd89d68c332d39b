"""A segmentation decoder on ViT features: tokens become a map again, which is upsampled; two blocks are fused."""

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(dim)
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, dim * 2)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim * 2), nn.GELU(), nn.Linear(dim * 2, dim))

    def attention(self, x):
        b, n, c = x.shape
        q = self.q(x).view(b, n, self.heads, -1).transpose(1, 2)
        k, v = self.kv(x).view(b, n, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(b, n, c))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Fusion(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.project = nn.Conv2d(dim, dim, 1)
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)
        self.norm = nn.BatchNorm2d(dim)

    def forward(self, x, skip):
        x = x + self.project(skip)
        return F.relu(self.norm(self.conv(x)))


class Segmenter(nn.Module):
    def __init__(self, image_size=(32, 48), patch_size=8, dim=48, depth=4, heads=4, num_classes=5):
        super().__init__()
        self.grid = (image_size[0] // patch_size, image_size[1] // patch_size)
        self.patch_embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, self.grid[0] * self.grid[1], dim) * 0.02)
        self.blocks = nn.ModuleList([Block(dim, heads) for _ in range(depth)])
        self.taken = [depth // 2 - 1, depth - 1]
        self.norm = nn.LayerNorm(dim)
        self.fusion = Fusion(dim)
        self.up = nn.ConvTranspose2d(dim, dim // 2, 2, stride=2)
        self.classify = nn.Conv2d(dim // 2, num_classes, 1)

    def to_map(self, tokens):
        b, n, c = tokens.shape
        h, w = self.grid
        return tokens.transpose(1, 2).reshape(b, c, h, w)

    def forward(self, image):
        x = self.patch_embed(image)
        x = x.flatten(2).transpose(1, 2) + self.pos_embed
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.taken:
                features.append(x)
        early, late = features
        x = self.fusion(self.to_map(self.norm(late)), self.to_map(early))
        x = self.up(x)
        logits = self.classify(x)
        return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)


def example(batch=3):
    return (torch.randn(batch, 3, 32, 48),)
