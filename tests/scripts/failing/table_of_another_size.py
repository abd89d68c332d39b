# code: build-failed
# message: Grid could not be built
# note: pos is 1×196×48
# help: image_size=224 (tried: builds
# fix: Grid(image_size=256) => Grid(image_size=224)
import torch
from torch import nn
class Grid(nn.Module):
    def __init__(self, image_size=224, patch_size=16, dim=48):
        super().__init__()
        side = image_size // patch_size
        pos = torch.zeros(1, 196, dim)
        self.pos = nn.Parameter(pos.transpose(1, 2).reshape(1, dim, side, side))
model = Grid(image_size=256)
