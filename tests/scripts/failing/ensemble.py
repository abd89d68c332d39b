# code: stack
# line: votes = torch.stack([net(x).softmax(-1) for net in nets]).mean(0)
# note: 12 made by nets.1.head (Linear) 2×12
# fix: classes=12 => classes=10
import torch
from tiny import ViT
nets = [ViT(classes=10), ViT(classes=12)]
x = torch.rand(2, 3, 32, 32)
votes = torch.stack([net(x).softmax(-1) for net in nets]).mean(0)
