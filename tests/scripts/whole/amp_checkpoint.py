import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2))
with torch.autocast("cpu", dtype=torch.bfloat16):
    loss = checkpoint(net, torch.rand(3, 4), use_reentrant=False).float().sum()
loss.backward()
print(loss.dtype, [one.grad.shape for one in net.parameters()])
