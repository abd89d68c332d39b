# code: conv-channels
# line: x = self.patch_embed(x).flatten(2).transpose(1, 2)
# fix: 2, 1, 32 => 2, 3, 32
import torch
from tiny import ViT
vit = ViT()
vit(torch.rand(2, 1, 32, 32))
