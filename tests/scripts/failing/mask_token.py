# code: broadcast
# message: tokens[mask] is ?×48 and is given the value 1×64: 64 does not fit into 48
# note: tokens 2×17×48 is made from the output of ViT.forward_features (model)
# line: tokens[mask] = mask_token
# fix: zeros(1, 64) => zeros(1, 48)
import torch
from tiny import ViT
model, mask_token = ViT(), torch.zeros(1, 64)
tokens = model.forward_features(torch.rand(2, 3, 32, 32)).detach()
mask = torch.zeros(2, 17, dtype=torch.bool)
mask[:, 3:9] = True
tokens[mask] = mask_token
