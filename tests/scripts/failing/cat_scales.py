# code: cat
# line: pyramid = torch.cat([deep, shallow], 1)
# fix: [deep, => [torch.nn.functional.interpolate(deep, shallow.shape[-2:]),
import torch
from torch import nn
stem, stage = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 16, 2, 2)
x = torch.rand(2, 3, 32, 32)
shallow = stem(x)
deep = stage(shallow)
pyramid = torch.cat([deep, shallow], 1)
