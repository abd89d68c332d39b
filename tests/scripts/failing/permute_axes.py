# code: wrong-rank
# line: images = batch.permute(0, 3, 1)
# fix: (0, 3, 1) => (0, 3, 1, 2)
import torch
batch = torch.rand(2, 32, 32, 3)
images = batch.permute(0, 3, 1)
