# code: linear
# line: return self.head(x.flatten(1))
# note: in model.head (Linear)
# fix: nn.Linear(48, 5) => nn.Linear(48 * 16, 5)
import torch
from torch import nn
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 48, 8, 8), nn.Linear(48, 5)
    @torch.no_grad()
    def predict(self, images):
        return self.forward(self.body(images)).argmax(-1)
    def forward(self, x):
        return self.head(x.flatten(1))
model = Model()
images = torch.rand(2, 3, 32, 32)
model.predict(images)
