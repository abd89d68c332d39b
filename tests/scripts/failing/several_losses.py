# code: backward-failed
# line: loss.backward()
# message: backward starts from one number, and loss is 2
# help: loss.mean().backward()
# fix: loss.backward() => loss.mean().backward()
import torch
import torch.nn.functional as F
from tiny import ViT
net = ViT()
loss = F.cross_entropy(net(torch.rand(2, 3, 32, 32)), torch.tensor([1, 2]), reduction="none")
loss.backward()
