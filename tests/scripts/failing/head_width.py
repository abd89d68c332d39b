# code: linear
# line: return self.head(self.vit.forward_features(x).flatten(1))
# fix: self.head = nn.Linear(48, 7) => self.head = nn.Linear(17 * 48, 7)
import torch
from torch import nn
from tiny import ViT
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.vit = ViT()
        self.head = nn.Linear(48, 7)
    def forward(self, x):
        return self.head(self.vit.forward_features(x).flatten(1))
model = Model()
def evaluate():
    with torch.no_grad():
        return model(torch.rand(2, 3, 32, 32))
evaluate()
