# code: loss-labels
# line: loss = F.cross_entropy(logits, y)
# message: takes class numbers from 0 to 9; y go from 1 to 10
# note: labels that count from 1 go in as labels - 1
# fix: logits, y => logits, y - 1
import torch
import torch.nn.functional as F
from tiny import ViT
vit = ViT()
x, y = torch.rand(2, 3, 32, 32), torch.tensor([1, 10])
logits = vit(x)
loss = F.cross_entropy(logits, y)
