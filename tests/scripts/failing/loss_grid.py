# code: loss-labels
# line: loss = F.cross_entropy(logits, target)
# note: target 4×32×32 comes from the loader
# note: logits 4×5×4×4 is the output of Seg (model)
# fix: logits => F.interpolate(logits, target.shape[-2:], mode="bilinear")
import torch.nn.functional as F
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
class Seg(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 16, 8, 8), nn.GELU(), nn.Conv2d(16, 5, 1))
    def forward(self, x):
        return self.net(x)
def main(epochs=1):
    model = Seg()
    optimizer = torch.optim.AdamW(model.parameters())
    loader = DataLoader(TensorDataset(torch.rand(8, 3, 32, 32), torch.randint(5, (8, 32, 32))), batch_size=4)
    for epoch in range(epochs):
        for images, target in loader:
            images, target = images.to("cpu"), target.to("cpu")
            optimizer.zero_grad()
            logits = model(images)
            loss = F.cross_entropy(logits, target)
            loss.backward()
            optimizer.step()
main()
