# code: wrong-call
# message: cross_entropy takes a tensor and is given a tuple of 2: 2×10, 2×10
# note: model(x) is the output of Distilled (model)
# line: loss = F.cross_entropy(model(x), y)
# help: model(x)[0] instead of model(x) (tried: runs
# fix: model(x), y) => model(x)[0], y)
import torch
import torch.nn.functional as F
from tiny import ViT
class Distilled(ViT):
    def forward(self, x):
        scores = super().forward(x)
        return scores, scores
model = Distilled()
x, y = torch.rand(2, 3, 32, 32), torch.tensor([1, 2])
loss = F.cross_entropy(model(x), y)
