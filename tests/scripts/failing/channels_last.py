# code: channels-last
# line: x = self.patch_embed(x).flatten(2).transpose(1, 2)
# help: channels moved to the front: x.permute(0, 3, 1, 2)
# fix: vit(images) => vit(images.permute(0, 3, 1, 2))
import torch
from tiny import ViT
vit = ViT()
images = torch.rand(2, 32, 32, 3)
vit(images)
