# code: broadcast
# line: x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
# help: image=64 in build(…) (tried: runs, output 2×10)
# fix: build(32, 10) => build(64, 10)
import torch
import torch.nn.functional as F
from tiny import ViT
def build(image, classes):
    return ViT(image=image, classes=classes)
net = build(32, 10)
x = torch.rand(2, 3, 64, 64)
loss = F.cross_entropy(net(x), torch.zeros(2).long())
