# code: stack
# line: return torch.stack([image for image, _ in items])
# fix: [image for => [image[:, :32] for
import torch
from torch.utils.data import DataLoader
def collate(items):
    return torch.stack([image for image, _ in items])
data = [(torch.rand(3, 32 + i, 32), i) for i in range(4)]
for images in DataLoader(data, batch_size=2, collate_fn=collate):
    pass
