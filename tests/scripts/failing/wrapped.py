# code: broadcast
# line: x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
# fix: 3, 40, 40 => 3, 32, 32
import torch
from tiny import ViT
vit = ViT()
try:
    vit(torch.rand(2, 3, 40, 40))
except RuntimeError as error:
    raise RuntimeError("epoch 3 failed") from error
