# A training loop, with a warning and a file.
import sys, warnings
import torch
from torch import nn
torch.manual_seed(0)
net = nn.Linear(4, 2)
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for step in range(3):
    loss = net(torch.rand(8, 4)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, round(loss.item(), 6))
warnings.warn("done")
open("weights.txt", "w").write(str(net.weight.sum().item()))
