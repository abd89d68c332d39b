# code: reshape
# line: grid = tokens.transpose(1, 2).reshape(2, 48, 4, 4)
# fix: tokens.transpose => tokens[:, 1:].transpose
import torch
from tiny import ViT
vit = ViT()
images = torch.rand(2, 3, 32, 32)
tokens = vit.forward_features(images)
grid = tokens.transpose(1, 2).reshape(2, 48, 4, 4)
