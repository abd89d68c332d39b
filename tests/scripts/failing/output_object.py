# code: wrong-call
# message: cross_entropy takes a tensor and is given an Output of 2: 2×10, 2×17×48
# line: loss = F.cross_entropy(out, y)
# help: out.logits instead of out (tried: runs
# fix: (out, y) => (out.logits, y)
from dataclasses import dataclass
import torch
import torch.nn.functional as F
from tiny import ViT
@dataclass
class Output:
    logits: torch.Tensor
    tokens: torch.Tensor
class Model(ViT):
    def forward(self, x):
        tokens = self.forward_features(x)
        return Output(self.head(tokens[:, 0]), tokens)
model = Model()
x, y = torch.rand(2, 3, 32, 32), torch.tensor([1, 2])
out = model(x)
loss = F.cross_entropy(out, y)
