# until: 3.11
# code: channels-last
# message: f 1×8×8×24 has its channels last, the model takes them first
# help: channels moved to the front: f.permute(0, 3, 1, 2) (tried: runs
# fix: conv(f) => conv(f.permute(0, 3, 1, 2))
import torch
from torch import nn
class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.merge = nn.Conv2d(3, 24, 4, 4), nn.Linear(96, 48)
    def forward(self, x):
        x = self.embed(x).permute(0, 2, 3, 1)
        b, h, w, c = x.shape
        return x, self.merge(x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(2, 3).reshape(b, h // 2, w // 2, 4 * c))
body = Body()
neck = nn.ModuleList([nn.Conv2d(c, 16, 1) for c in (24, 48)])
outs = [conv(f) for conv, f in zip(neck, body(torch.rand(1, 3, 32, 32)))]
