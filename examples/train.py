"""A training script whose loss gets labels of the wrong size."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Seg(nn.Module):
    """One class per patch."""

    def __init__(self, classes: int = 21, dim: int = 64, patch: int = 16) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, dim, patch, patch)
        self.head = nn.Conv2d(dim, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(x).relu())


model = Seg()
train_loader = DataLoader(TensorDataset(torch.randn(8, 3, 224, 224), torch.zeros(8, 224, 224).long()), batch_size=4)
optimizer = torch.optim.AdamW(model.parameters())
for images, target in train_loader:
    logits = model(images)
    loss = F.cross_entropy(logits, target)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
