# code: matmul
# line: return (q @ k).softmax(-1) @ v
# note: in blocks.0 (Attn)
# fix: q @ k) => q @ k.transpose(-2, -1))
import torch
from torch import nn
class Attn(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.qkv = heads, nn.Linear(dim, 3 * dim)
    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        return (q @ k).softmax(-1) @ v
class Net(nn.Module):
    def __init__(self, dim=24):
        super().__init__()
        self.embed = nn.Conv2d(3, dim, 8, 8)
        self.blocks = nn.ModuleList([Attn(dim, 3)])
    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return x
net = Net()
with torch.autocast("cpu", dtype=torch.bfloat16):
    net(torch.rand(2, 3, 32, 32))
