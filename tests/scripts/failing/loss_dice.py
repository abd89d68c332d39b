# code: broadcast
# line: overlap = (probabilities * target).sum((2, 3))
# note: target 2×32×32 comes from the loader
# fix: (probabilities * target) => (probabilities * target.unsqueeze(1))
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
def dice(logits, target):
    probabilities = logits.softmax(1)
    overlap = (probabilities * target).sum((2, 3))
    return 1 - overlap.mean()
def train(net, loader):
    for images, masks in loader:
        loss = dice(net(images), masks)
        loss.backward()
net = nn.Conv2d(3, 5, 3, padding=1)
train(net, DataLoader(TensorDataset(torch.rand(4, 3, 32, 32), torch.ones(4, 32, 32)), batch_size=2))
