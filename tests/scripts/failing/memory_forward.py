# code: does-not-fit
# message: a training step at batch 32 takes
# help: batch size 13 (tried: fits)
# fix: 32, 3, 64, 64 => 13, 3, 64, 64
import torch
from tiny import ViT
class Net(ViT):
    def forward(self, x):
        if len(x) > 13 and not x.is_meta:
            raise torch.OutOfMemoryError("CUDA out of memory. GPU 0 has a total capacity of 906.00 MiB of which 1 MiB is free.")
        return super().forward(x)
net = Net(image=64, patch=4)
optimizer = torch.optim.AdamW(net.parameters())
for x in [torch.rand(32, 3, 64, 64)]:
    loss = net(x).logsumexp(-1).mean()
    loss.backward()
