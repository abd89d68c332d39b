# code: wrong-rank
# line: b, c, h, w = features.shape
# note: features 2×17×48 is the output of ViT.forward_features (vit)
# fix: b, c, h, w = => b, n, c =
import torch
from tiny import ViT
vit = ViT()
features = vit.forward_features(torch.rand(2, 3, 32, 32))
b, c, h, w = features.shape
