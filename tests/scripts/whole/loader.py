import torch
from torch.utils.data import DataLoader, Dataset
class Numbers(Dataset):
    def __len__(self):
        return 6
    def __getitem__(self, i):
        return torch.tensor([i, i + 1])
if __name__ == "__main__":
    for batch in DataLoader(Numbers(), batch_size=2, num_workers=2):
        print(batch.tolist())
