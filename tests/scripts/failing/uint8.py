# code: dtype
# line: x = self.patch_embed(x).flatten(2).transpose(1, 2)
# fix: vit(images) => vit(images.float())
import torch
from tiny import ViT
vit = ViT()
images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
vit(images)
