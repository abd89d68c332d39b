"""A model with methods beside forward, and functions that run it, for the page on methods."""

import torch
from torch import nn
from torch.utils.data import DataLoader


class Net(nn.Module):
    def __init__(self, img_size=64, patch_size=16, dim=48, classes=7):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.zeros(1, (img_size // patch_size) ** 2, dim))
        self.head = nn.Linear(dim, classes)

    def features(self, x):
        return self.embed(x).flatten(2).transpose(1, 2) + self.pos

    def classify(self, tokens):
        return self.head(tokens.mean(1))

    def turned(self, x):
        return self.head(self.features(x).transpose(1, 2))

    def loss(self, x):
        return self(x).sum()

    def forward(self, x):
        return self.classify(self.features(x))


def main():
    print(Net()(torch.zeros(2, 3, 96, 96)).shape)


def load():
    images = [torch.zeros(3, 4, 4), torch.zeros(3, 5, 5)]
    return list(DataLoader(images, batch_size=2))
