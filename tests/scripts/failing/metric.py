# code: broadcast
# line: right = (guess == labels).float().mean()
# note: guess 4×17 is made from the output of Linear (vit.head)
# fix: (guess == => (guess[:, 0] ==
import torch
from tiny import ViT
vit = ViT()
x, labels = torch.rand(4, 3, 32, 32), torch.randint(10, (4,))
guess = vit.head(vit.forward_features(x)).argmax(-1)
right = (guess == labels).float().mean()
