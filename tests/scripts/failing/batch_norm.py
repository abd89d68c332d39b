# code: batch-of-one
# line: return self.norm(self.conv(x).flatten(1))
# fix: torch.rand(1, 3 => torch.rand(2, 3
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 32), nn.BatchNorm1d(8)
    def forward(self, x):
        return self.norm(self.conv(x).flatten(1))
net = Net()
net(torch.rand(1, 3, 32, 32))
