# code: linear
# line: score = judge(make(noise))
# fix: make(noise)) => make(noise).flatten(1)[:, :192])
import torch
from torch import nn
make = nn.Sequential(nn.Linear(16, 256), nn.Unflatten(1, (4, 8, 8)))
judge = nn.Sequential(nn.Linear(192, 1))
noise = torch.rand(2, 16)
score = judge(make(noise))
