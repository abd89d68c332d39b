# code: broadcast
# message: scores.argmax(0) has 10, labels has 2 on axis 0
# note: scores 2×10 is made from the output of ViT (model)
# line: hits = (scores.argmax(0) == labels).float().mean()
# fix: argmax(0) => argmax(1)
import torch
from tiny import ViT
model = ViT()
labels = torch.tensor([1, 2])
scores = model(torch.rand(2, 3, 32, 32)).softmax(-1)
hits = (scores.argmax(0) == labels).float().mean()
