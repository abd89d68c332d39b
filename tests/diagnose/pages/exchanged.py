"""A model of one image size that reads its tokens back with height and width exchanged."""

import torch
from torch import nn


class Exchanged(nn.Module):
    """A convolution over the grid of patches, which is taken for w × h."""

    def __init__(self, image_size: int | tuple[int, int] = 32, patch_size: int = 4, dim: int = 8) -> None:
        super().__init__()
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        self.grid = height // patch_size, width // patch_size
        self.patch = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1], dim))
        self.conv = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2) + self.pos
        height, width = self.grid
        return self.conv(x.transpose(1, 2).reshape(x.shape[0], -1, width, height))


class Kept(Exchanged):
    """The same, read back as it was."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2) + self.pos
        return self.conv(x.transpose(1, 2).reshape(x.shape[0], -1, *self.grid))
