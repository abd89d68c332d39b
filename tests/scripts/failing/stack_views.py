# code: stack
# line: views = torch.stack([net(x) for x in crops])
# fix: net(x) for => net(x).mean((2, 3)) for
import torch
from torch import nn
net = nn.Conv2d(3, 8, 4, 4)
crops = [torch.rand(2, 3, 32, 32), torch.rand(2, 3, 16, 16)]
views = torch.stack([net(x) for x in crops])
