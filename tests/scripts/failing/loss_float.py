# code: loss-labels
# line: loss = F.cross_entropy(vit(x), y)
# message: int64
# fix: vit(x), y => vit(x), y.long()
import torch
import torch.nn.functional as F
from tiny import ViT
vit = ViT()
x, y = torch.rand(2, 3, 32, 32), torch.tensor([1.0, 3.0])
loss = F.cross_entropy(vit(x), y)
