# code: mixed-axes
# note: so embed takes 3 channels, its input 2×8×3×32×32 has 8
# help: frames and channels exchanged: x.transpose(1, 2) (tried: runs
# fix: model(clip) => model(clip.transpose(1, 2))
import torch
from torch import nn
class Video(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Conv3d(3, 48, (2, 16, 16), (2, 16, 16)), nn.Linear(48, 10)
    def forward(self, x):
        return self.head(self.embed(x).flatten(2).mean(2))
model = Video()
for clip in torch.utils.data.DataLoader([torch.rand(8, 3, 32, 32)] * 4, batch_size=2):
    model(clip)
