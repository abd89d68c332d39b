# code: loss-labels
# note: student(x) is the output of ViT (student)
# line: loss = F.mse_loss(student(x), teacher(x))
# fix: teacher(x)) => teacher(x)[:, :10])
import torch
import torch.nn.functional as F
from tiny import ViT
student, teacher = ViT(), ViT(dim=96, classes=20)
x = torch.rand(2, 3, 32, 32)
loss = F.mse_loss(student(x), teacher(x))
