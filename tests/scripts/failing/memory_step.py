# code: does-not-fit
# help: batch size
# fix: batch = 32 => batch = 8
import torch
from tiny import ViT
batch = 32
def full(*_):
    if batch > 13:
        raise torch.OutOfMemoryError("CUDA out of memory. GPU 0 has a total capacity of 906.00 MiB of which 1 MiB is free.")
net = ViT(image=64, patch=4)
optimizer = torch.optim.SGD(net.parameters())
optimizer.register_step_pre_hook(full)
x = torch.rand(batch, 3, 64, 64)
loss = net(x).logsumexp(-1).mean()
loss.backward()
optimizer.step()
