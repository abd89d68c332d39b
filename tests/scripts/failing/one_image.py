# code: missing-batch-axis
# line: x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
# fix: vit(image) => vit(image.unsqueeze(0))
import torch
from tiny import ViT
vit = ViT()
image = torch.rand(3, 32, 32)
vit(image)
