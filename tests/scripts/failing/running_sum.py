# code: broadcast
# line: self.total += scores.sum(0)
# message: total has 10, scores.sum(0) has 12 on axis 0
# fix: torch.zeros(10) => torch.zeros(12)
import torch
from tiny import ViT
class Average:
    def __init__(self):
        self.total = torch.zeros(10)
    def update(self, scores):
        self.total += scores.sum(0)
average, vit = Average(), ViT(classes=12)
with torch.no_grad():
    average.update(vit(torch.rand(2, 3, 32, 32)))
