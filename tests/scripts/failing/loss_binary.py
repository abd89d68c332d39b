# code: loss-labels
# line: loss = self.criterion(scores, batch["label"])
# fix: scores, => scores.squeeze(-1),
import torch
from torch import nn
from tiny import ViT
class Trainer:
    def __init__(self):
        self.model = ViT(classes=1)
        self.criterion = nn.BCEWithLogitsLoss()
    def step(self, batch):
        scores = self.model(batch["image"])
        loss = self.criterion(scores, batch["label"])
        return loss
    def fit(self):
        for _ in range(3):
            self.step({"image": torch.rand(4, 3, 32, 32), "label": torch.ones(4)})
Trainer().fit()
