# code: loss-labels
# line: loss = criterion(scores, words)
# note: axis 1 is taken for the classes
# note: scores 2×17×48 is the output of ViT.forward_features (vit)
# fix: scores => scores.transpose(1, 2)
import torch
from torch import nn
from tiny import ViT
vit = ViT()
criterion = nn.CrossEntropyLoss()
for _ in range(2):
    images, words = torch.rand(2, 3, 32, 32), torch.randint(48, (2, 17))
    scores = vit.forward_features(images)
    loss = criterion(scores, words)
