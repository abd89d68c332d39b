# code: broadcast
# line: images = (images - mean) / 0.2
# fix: - mean) => - mean.view(3, 1, 1))
import torch
mean = torch.tensor([0.48, 0.46, 0.41])
for images in [torch.rand(2, 3, 32, 32)]:
    images = (images - mean) / 0.2
