# code: reshape
# line: return flat.reshape(3, 32, 31)
# note: a worker of the loader raised it
# fix: 32, 31) => 32, 32)
import torch
from torch.utils.data import DataLoader, Dataset
class Images(Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, i):
        flat = torch.rand(3 * 32 * 32)
        return flat.reshape(3, 32, 31)
if __name__ == "__main__":
    for images in DataLoader(Images(), batch_size=2, num_workers=1):
        pass
