# code: broadcast
# line: bank[4 * i : 4 * i + 4] = features
# message: 48 does not fit into 40
# fix: torch.zeros(100, 40) => torch.zeros(100, 48)
import torch
from tiny import ViT
bank, net = torch.zeros(100, 40), ViT()
for i, x in enumerate(torch.rand(2, 4, 3, 32, 32)):
    with torch.no_grad():
        features = net.forward_features(x)[:, 0]
    bank[4 * i : 4 * i + 4] = features
