# code: attention-mask
# line: return self.attn(x, x, x, attn_mask=mask)[0]
# fix: torch.zeros(2, 16, 16) => torch.zeros(16, 16)
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(32, 4, batch_first=True)
    def forward(self, x, *, mask):
        return self.attn(x, x, x, attn_mask=mask)[0]
net = Net()
net(torch.rand(2, 16, 32), mask=torch.zeros(2, 16, 16))
