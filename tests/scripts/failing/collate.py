# code: stack
# line: for images, labels in DataLoader(Files(), batch_size=4):
# note: items 1, 2, 3 of Files: 3×32×32
# note: item 0 of Files: 1×32×32
# fix: if i % 4 else 1 => if i % 4 else 3
import torch
from torch.utils.data import DataLoader, Dataset
class Files(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        return torch.rand(3 if i % 4 else 1, 32, 32), i % 2
for images, labels in DataLoader(Files(), batch_size=4):
    pass
