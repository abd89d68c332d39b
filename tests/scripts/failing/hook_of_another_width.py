# code: broadcast
# message: out has 48, up(down(out)) has 64 on axis 2
# line: layer.register_forward_hook(lambda layer, given, out: out + up(down(out)))
# fix: (4, 64, => (4, 48,
import torch
from torch import nn
from tiny import ViT
model = ViT()
down, up = nn.Linear(48, 4, bias=False), nn.Linear(4, 64, bias=False)
layer = model.blocks[0].mlp[2]
layer.register_forward_hook(lambda layer, given, out: out + up(down(out)))
model(torch.rand(2, 3, 32, 32))
