# code: broadcast
# line: return 0.3 * images + 0.7 * other
# fix: * other => * other[..., :32, :32]
import torch
from tiny import ViT
def mix(images, other):
    return 0.3 * images + 0.7 * other
vit = ViT()
vit(mix(torch.rand(2, 3, 32, 32), torch.rand(2, 3, 40, 40)))
