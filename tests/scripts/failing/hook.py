# code: reshape
# line: kept.append(output.reshape(2, 13, -1))
# fix: (2, 13, -1) => (2, 17, -1)
import torch
from tiny import ViT
kept = []
def keep(module, given, output):
    kept.append(output.reshape(2, 13, -1))
vit = ViT()
vit.blocks[1].register_forward_hook(keep)
vit(torch.rand(2, 3, 32, 32))
