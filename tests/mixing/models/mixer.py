"""An MLP-Mixer: one MLP over tokens, one over channels, in turn."""

import torch
from torch import nn


class MlpBlock(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        x = torch.nn.functional.gelu(self.fc1(x))
        return self.fc2(x)


class MixerBlock(nn.Module):
    def __init__(self, num_tokens, dim, tokens_hidden, channels_hidden):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.token_mixing = MlpBlock(num_tokens, tokens_hidden)
        self.norm2 = nn.LayerNorm(dim)
        self.channel_mixing = MlpBlock(dim, channels_hidden)

    def forward(self, x):
        y = self.norm1(x)
        y = y.transpose(1, 2)
        y = self.token_mixing(y)
        y = y.transpose(1, 2)
        x = x + y
        y = self.norm2(x)
        return x + self.channel_mixing(y)


class Mixer(nn.Module):
    def __init__(self, image_size=32, patch_size=8, dim=48, depth=2, num_classes=10):
        super().__init__()
        self.patch_size = patch_size
        num_tokens = (image_size // patch_size) ** 2
        self.stem = nn.Conv2d(3, dim, patch_size, patch_size)
        self.blocks = nn.Sequential(*[MixerBlock(num_tokens, dim, dim // 2, dim * 4) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, images):
        x = self.stem(images)
        b, c, h, w = x.shape
        x = x.reshape(b, c, h * w).permute(0, 2, 1)
        x = self.blocks(x)
        x = self.norm(x)
        pooled = x.mean(dim=1)
        return self.head(pooled)


def example(batch=3):
    return (torch.randn(batch, 3, 32, 32),)
