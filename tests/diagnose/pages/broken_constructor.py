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
