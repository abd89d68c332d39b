"""A model whose defaults do not go together, for the page on constructors."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, dim=192, heads=5):
        super().__init__()
        if dim % heads:
            raise ValueError("dim must be a multiple of heads")
        self.qkv = nn.Conv2d(3, dim, 8, 8)

    def forward(self, image):
        return torch.relu(self.qkv(image))


class Misspelled(Net):
    def __init__(self, dim=192):
        super().__init__(dim, 6)
        self.norm = nn.Layernorm(dim)


class TooEarly(nn.Module):
    def __init__(self, dim=192):
        super().__init__()
        self.tokens = self.patches + 1
        self.patches = dim // 16
