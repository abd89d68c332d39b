# code: array-shapes
# message: NumPy refuses img 32×32×3 and noise 3×32×32: operands could not be broadcast
# help: noise.transpose(1, 2, 0) has the axes of img 32×32×3
# line: return torch.from_numpy((img + noise).transpose(2, 0, 1)), place
# fix: + noise => + noise.transpose(1, 2, 0)
import numpy
import torch
from tiny import ViT
class Images(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, place):
        img = numpy.zeros((32, 32, 3), "float32")
        noise = numpy.zeros((3, 32, 32), "float32")
        return torch.from_numpy((img + noise).transpose(2, 0, 1)), place
for x, y in torch.utils.data.DataLoader(Images(), batch_size=2):
    ViT()(x)
