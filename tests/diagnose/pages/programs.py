"""Models captured as programs, whose sizes are fixed, for the page on programs."""

import torch
from torch import nn


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 32, 14, 14)
        self.pos = nn.Parameter(torch.zeros(1, 16, 32))
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos
        return self.head(x.mean(1))


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(32, 64)
        self.pos = nn.Parameter(torch.zeros(1, 16, 64))

    def forward(self, x):
        return self.scale(x) + self.pos


class Flat(nn.Module):
    def forward(self, x):
        return x.flatten(2).transpose(1, 2) * 2


class Holds(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 32, 14, 14)
        self.body = torch.jit.trace(Tokens(), torch.randn(2, 16, 32))
        self.head = nn.Linear(64, 5)

    def forward(self, image):
        x = self.embed(image).flatten(2).transpose(1, 2)
        return self.head(self.body(x).mean(1))


def traced():
    return torch.jit.trace(Positions(), torch.randn(1, 3, 56, 56))


def frozen():
    return torch.jit.freeze(torch.jit.trace(Positions().eval(), torch.randn(1, 3, 56, 56)))


def scripted():
    return torch.jit.script(Positions())


def exported():
    return torch.export.export(Positions(), (torch.randn(1, 3, 56, 56),)).module()


def up_to_64():
    sizes = {"x": {0: torch.export.Dim("batch"), 2: torch.export.Dim("height", min=8, max=64)}}
    return torch.export.export(Flat(), (torch.randn(2, 3, 16, 16),), dynamic_shapes=sizes).module()


def program():
    return torch.export.export(Flat(), (torch.randn(2, 3, 16, 16),))
