# code: build-failed
# line: self.attn = nn.MultiheadAttention(width, heads)
# fix: Net(50) => Net(48)
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, width, heads=8):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
    def forward(self, x):
        return self.attn(x, x, x)[0]
Net(50)
