# code: index
# line: kept = tokens[mask]
# fix: tokens[mask] => tokens[:, 1:][mask]
import torch
from tiny import ViT
vit = ViT()
mask = torch.zeros(2, 16, dtype=torch.bool)
tokens = vit.forward_features(torch.rand(2, 3, 32, 32))
kept = tokens[mask]
