# code: reshape
# line: grid = pos.reshape(1, 4, 4, 48).permute(0, 3, 1, 2)
# fix: pos.reshape => pos[:, 1:].reshape
import torch
from tiny import ViT
vit = ViT()
pos = vit.pos_embed
grid = pos.reshape(1, 4, 4, 48).permute(0, 3, 1, 2)
