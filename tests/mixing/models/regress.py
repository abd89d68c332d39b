"""A training step of a regression: forward takes images and one number for each, and returns loss and error."""

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim * 2), nn.GELU(), nn.Linear(dim * 2, dim))

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class AgeRegressor(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=48, depth=2, heads=4):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embed = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.blocks = nn.ModuleList([Block(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.mean_head = nn.Linear(dim, 1)
        self.log_var_head = nn.Linear(dim, 1)

    def forward(self, images, ages, sites):
        x = self.patch_embed(images).flatten(2).transpose(1, 2) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        pooled = self.norm(x).mean(dim=1)
        offsets = sites.unsqueeze(1)
        pred = (self.mean_head(pooled) + offsets).squeeze(1)
        log_var = self.log_var_head(pooled).squeeze(1)
        loss = F.mse_loss(pred, ages)
        nll = (((pred - ages) ** 2) / log_var.exp() + log_var).mean()
        error = (pred - ages).abs().mean()
        centred = ages - ages.mean()
        r2 = 1 - ((pred - ages) ** 2).sum() / (centred**2).sum()
        return {"loss": loss + nll, "error": error, "r2": r2}


def example(batch=3):
    return (torch.randn(batch, 3, 32, 32), torch.randn(batch), torch.randn(batch))
