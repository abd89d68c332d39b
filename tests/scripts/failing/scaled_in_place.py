# code: backward-failed
# message: the output 2×9×9 of
# line: out = a @ v
# fix: a.mul_(0.5) => a = a.mul(0.5)
import torch
from torch import nn
class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(48, 144)
    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        a = (q @ k.transpose(1, 2)).softmax(-1)
        out = a @ v
        a.mul_(0.5)
        return out
m = Attention()
m(torch.randn(2, 9, 48)).sum().backward()
