# code: backward-failed
# message: loss depends on no parameter that requires a gradient
# note: 0 of the 32 parameters of model require a gradient
# line: loss.backward()
# fix: model.parameters(): => model.patch_embed.parameters():
import torch
import torch.nn.functional as F
from tiny import ViT
model = ViT()
for parameter in model.parameters():
    parameter.requires_grad = False
loss = F.cross_entropy(model(torch.rand(2, 3, 32, 32)), torch.tensor([1, 2]))
loss.backward()
