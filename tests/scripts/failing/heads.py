# code: build-failed
# line: assert dim % heads == 0
# message: heads = 5 does not divide dim = 48
# help: heads=
# fix: ViT(heads=5) => ViT(heads=4)
import torch
from torch import nn
class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        assert dim % heads == 0
        self.qkv = nn.Linear(dim, 3 * dim)
class ViT(nn.Module):
    def __init__(self, dim=48, heads=4, depth=2):
        super().__init__()
        self.blocks = nn.ModuleList([Attention(dim, heads) for _ in range(depth)])
    def forward(self, x):
        return x
def build():
    return ViT(heads=5)
build()
