# code: backward-failed
# line: return self.head(Twice.apply(x))
# fix: return gradient.sum(0, keepdim=True) => return 2 * gradient
import torch
from torch import nn
class Twice(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return 2 * x
    @staticmethod
    def backward(context, gradient):
        return gradient.sum(0, keepdim=True)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(8, 8), nn.Linear(8, 2)
    def forward(self, x):
        x = self.embed(x)
        return self.head(Twice.apply(x))
net = Net()
x = torch.rand(4, 8)
loss = net(x).sum()
loss.backward()
