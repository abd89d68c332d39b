# slow
# code: loss-labels
# line: loss = F.cross_entropy(logits, y)
# note: logits 2×10 is the output of ViT (net)
# fix: logits, y) => logits, y.squeeze(1))
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset
from tiny import ViT
accelerator = Accelerator(cpu=True, mixed_precision="bf16")
net = ViT()
loader = DataLoader(TensorDataset(torch.rand(4, 3, 32, 32), torch.randint(10, (4, 1))), batch_size=2)
net, optimizer, loader = accelerator.prepare(net, torch.optim.AdamW(net.parameters()), loader)
for x, y in loader:
    logits = net(x)
    loss = F.cross_entropy(logits, y)
    accelerator.backward(loss)
