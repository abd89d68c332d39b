"""A ViT on nn.MultiheadAttention: patches are cut by reshape and permute, all tokens are averaged."""

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, dim, heads, mlp_ratio=4):
        super().__init__()
        self.ln_1 = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, dim * mlp_ratio),
            nn.GELU(),
            nn.Linear(dim * mlp_ratio, dim),
        )

    def forward(self, x):
        y = self.ln_1(x)
        y, _ = self.attention(y, y, y, need_weights=False)
        x = x + y
        y = self.mlp(self.ln_2(x))
        return x + y


class ViT(nn.Module):
    def __init__(self, image_size=32, patch_size=8, channels=3, num_classes=10, dim=48, depth=2, heads=4):
        super().__init__()
        self.patch_size = patch_size
        self.grid = image_size // patch_size
        self.embed = nn.Linear(channels * patch_size**2, dim)
        self.pos = nn.Parameter(torch.randn(self.grid**2, dim) * 0.02)
        self.blocks = nn.Sequential(*[Block(dim, heads) for _ in range(depth)])
        self.ln = nn.LayerNorm(dim)
        self.classifier = nn.Linear(dim, num_classes)

    def patchify(self, images):
        b, c, _, _ = images.shape
        p, g = self.patch_size, self.grid
        x = images.reshape(b, c, g, p, g, p)
        x = x.permute(0, 2, 4, 3, 5, 1)
        return x.reshape(b, g * g, p * p * c)

    def forward(self, images):
        x = self.embed(self.patchify(images))
        x = x + self.pos
        x = self.blocks(x)
        x = self.ln(x)
        x = x.mean(dim=1)
        return self.classifier(x)


def example(batch=3):
    return (torch.randn(batch, 3, 32, 32),)
